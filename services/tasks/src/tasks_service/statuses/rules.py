"""Pure rules of statuses: what a key is made of, and what a project can't be without."""

import re
import unicodedata
from collections.abc import Container, Iterable

MAX_KEY = 16
MOST_TASKS = 10_000
"""How many tasks one request gives another status."""
KEPT = (frozenset({"backlog", "todo", "in_progress"}), frozenset({"done"}))
"""A project keeps a status of each: tasks begin in an open one, and are completed by one that is done."""


def is_kept(before: Iterable[str], after: Iterable[str]) -> bool:
    """Tell whether there is still a status for everything there was one for; these are the categories of statuses."""
    had, has = frozenset(before), frozenset(after)
    return bool(has) and all(kind & has for kind in KEPT if kind & had)


def key_of(name: str, taken: Container[str]) -> str:
    """Return a key for a status of a name: small letters, digits and `_`, with a number when it is taken."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:MAX_KEY].rstrip("_") or "status"
    found, number = base, 1
    while found in taken:
        number += 1
        tail = f"_{number}"
        found = base[: MAX_KEY - len(tail)].rstrip("_") + tail
    return found
