"""Places in an order that people choose: strings that are compared as bytes, between any two of which there is one."""

from fractional_indexing import generate_key_between

MAX_CHARACTERS = 255


def rank_between(before: str | None, after: str | None) -> str:
    """Return a place between two; None is the beginning, or the end."""
    found: str = generate_key_between(before, after)
    return found


def ranks_for(count: int) -> list[str]:
    """Return places for as many, in their order, as short as can be."""
    ranks: list[str] = []
    for _ in range(count):
        ranks.append(rank_between(ranks[-1] if ranks else None, None))
    return ranks
