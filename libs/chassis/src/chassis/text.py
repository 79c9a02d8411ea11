"""Text of others, made fit to be shown, and guesses at what they meant."""

import difflib
from collections.abc import Iterable

MAX_SHOWN = 200
LONGEST_GUESSED = 64


def printable(text: str) -> str:
    """Drop surrogates and control characters and cut to 200 characters."""
    return "".join(c for c in text if c.isprintable() and not "\ud800" <= c <= "\udfff")[:MAX_SHOWN]


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` was probably meant to be, in whatever case, or None.

    Comparing long ones would take long.
    """
    if len(name) > LONGEST_GUESSED:
        return None
    by_lower_case = {one.lower(): one for one in candidates}
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return by_lower_case[matches[0]] if matches else None


def hint_at(guess: str | None) -> str | None:
    """Return the sentence that asks whether a guess was meant."""
    return f"did you mean {guess}?" if guess else None
