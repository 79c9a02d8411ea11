"""The place of a task among those of its project, as a string that is compared as bytes.

The database gives a new task `n`, its number in ten digits and `V`: twelve characters, which sort by number. A place
between two is that of the one before it with a rank behind those twelve, and the places before the first task begin
with something that is less than any number. Ranks grow with the logarithm of how often one place is used, in front and
behind; only places that are halved again and again grow by a character every six times.
"""

from tasks_service.ordering.rules import MAX_CHARACTERS, rank_between

NUMBERED = len("n0000000012V")
FRONT = "m0000000000V"


def place_of(number: int) -> str:
    """Return the place of a task that has just got its number, as the database gives it to a new one: the last."""
    return f"n{number:010d}V"


def place_between(before: str | None, after: str | None) -> str | None:
    """Return a place between two, or None when there is no room left; None is the beginning, or the end.

    Raises ValueError when both are.
    """
    if before is not None:
        base, rank = before[:NUMBERED], before[NUMBERED:]
        limit = after[NUMBERED:] if after is not None and after.startswith(base) else None
    elif after is not None:
        base, rank = FRONT, ""
        limit = after[NUMBERED:] if after.startswith(FRONT) else None
    else:
        raise ValueError("a place is beside another one")
    found = base + rank_between(rank or None, limit)
    return found if len(found) <= MAX_CHARACTERS else None
