"""Pure rules of names that are unique where they are."""

from unicodedata import normalize


def name_key(name: str) -> str:
    """Return a name as it is compared: without case, and in one form where Unicode has several (NFKC)."""
    return normalize("NFKC", normalize("NFKC", name).casefold())
