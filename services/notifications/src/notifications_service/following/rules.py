"""How much is followed at once, when what failed is tried again, and what came after something was made."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

BATCH = 200
STREAMS_TOGETHER = 64
LAST_TRY = 10
LONGEST_DELAY = 60
SLACK = timedelta(minutes=1)
"""So far the clocks of services may be apart."""


def share_of(streams: int) -> int:
    """Return how much of each stream is followed at once where so many are followed together."""
    return max(1, BATCH // streams)


def delay_after(failures: int) -> timedelta | None:
    """Return how long to wait after so many failures of one event, None when it is to be left out."""
    return None if failures >= LAST_TRY else timedelta(seconds=min(2 ** (failures - 1), LONGEST_DELAY))


def came_after(row: Mapping[Any, Any], *, seq: int, made_at: datetime) -> bool:
    """Tell whether an event came after something was made, when its stream was here up to `seq`.

    What was still on its way then counts as later, as far as clocks agree: better told than lost.
    """
    return bool(row["seq"] > seq and row["occurred_at"] >= made_at - SLACK)
