"""How much is followed at once, and when what failed is tried again."""

from datetime import timedelta

BATCH = 200
LAST_TRY = 10
LONGEST_DELAY = 60


def delay_after(failures: int) -> timedelta | None:
    """Return how long to wait after so many failures of one event, None when it is to be left out."""
    return None if failures >= LAST_TRY else timedelta(seconds=min(2 ** (failures - 1), LONGEST_DELAY))
