"""Pure rules of finding projects and people by name: how well a name fits, and where."""

import html
import re

NAMED, BEGINS, HAS_WORD, HAS, LIKE = 1.0, 0.9, 0.8, 0.7, 0.6
"""Ranks of what is called so, begins so, has a word that does, has it somewhere, or is like it at most."""


def rank_of_name(q: str, name: str | None, *, likeness: float = 0.0) -> float:
    """Return how well a name fits, from 0 to 1."""
    wanted, given = q.casefold(), (name or "").casefold()
    if given == wanted:
        return NAMED
    if given.startswith(wanted):
        return BEGINS
    if re.search(rf"\b{re.escape(wanted)}", given):
        return HAS_WORD
    return HAS if wanted in given else round(LIKE * likeness, 6)


def marked_name(q: str, name: str) -> str | None:
    """Return a name as HTML with what is searched for between `<mark>` and `</mark>`; None when it is not in it."""
    found = re.search(re.escape(q), name, re.IGNORECASE)
    if found is None:
        return None
    before, within, after = name[: found.start()], found[0], name[found.end() :]
    return f"{html.escape(before)}<mark>{html.escape(within)}</mark>{html.escape(after)}"
