"""How much is followed at once, and when what failed is tried again."""

from datetime import timedelta

BATCH = 200
STREAMS_TOGETHER = 64
LAST_TRY = 10
LONGEST_DELAY = 60


def share_of(streams: int) -> int:
    """Return how much of each stream is followed at once where so many are followed together."""
    return max(1, BATCH // streams)


def delay_after(failures: int) -> timedelta | None:
    """Return how long to wait after so many failures of one event, None when it is to be left out."""
    return None if failures >= LAST_TRY else timedelta(seconds=min(2 ** (failures - 1), LONGEST_DELAY))
