"""How accounts are searched for."""

import re

SEPARATORS = re.compile(r"[!-/:-@\[-`{-~\s]+")
"""ASCII punctuation and white space; the index `ix_account_words` is made with the same."""


def search_terms(text: str) -> str | None:
    """Return a tsquery for accounts that have a word beginning with each of the words of a text; None without any."""
    words = [word for word in SEPARATORS.split(text) if word]
    return " & ".join(f"'{word}':*" for word in words) or None
