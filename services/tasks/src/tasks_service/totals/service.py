"""Totals of lists, which are kept: to count takes longer than the page does.

An estimate is kept for a few seconds, and what was counted for as long as nothing has changed.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from chassis.identity import Principal

from tasks_service.matching.repository import Shaped
from tasks_service.places.rules import Reach
from tasks_service.totals.repository import Reader, Total, count_tasks
from tasks_service.visibility.repository import seen_by, sight_of

KEPT_SECONDS = 5.0
"""Of some hundred tasks that tell of more than ten thousand a few seconds more or less make no difference."""
COUNTED_SECONDS = 300.0
"""How long a count is kept at most: a database that was restored, or written by hand, is not known by its logs."""
MOST_KEPT = 5000

T = TypeVar("T")


class Kept(Generic[T]):
    """What was found out a moment ago, by whom it was for, and of what; of more than `most` the oldest goes."""

    def __init__(self, seconds: float, *, most: int = MOST_KEPT) -> None:
        self._seconds = seconds
        self._most = most
        # All are kept equally long, so that the first to go are the first that came.
        self._kept: OrderedDict[bytes, tuple[float, T]] = OrderedDict()

    def find(self, made_for: bytes, *, now: float) -> T | None:
        """Return what was found out a moment ago; `now` in seconds of a clock that never goes back."""
        until, found = self._kept.get(made_for, (now, None))
        return found if now < until else None

    def keep(self, made_for: bytes, found: T, *, now: float) -> None:
        """Keep what was begun to be found out at `now`, and forget what is too old, and the oldest of too many."""
        self._kept[made_for] = now + self._seconds, found
        self._kept.move_to_end(made_for)
        while self._kept and (len(self._kept) > self._most or next(iter(self._kept.values()))[0] <= now):
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


class Counted(NamedTuple):
    """A total, and where the logs stood of all that its caller saw then (changes.repository.state_of_log)."""

    total: Total
    log_at: UUID


class KeptEstimates(Kept[Total]):
    """Estimates: who turns pages, or looks again, is told the same."""

    def __init__(self, seconds: float = KEPT_SECONDS, *, most: int = MOST_KEPT) -> None:
        super().__init__(seconds, most=most)


class KeptTotals(Kept[Counted]):
    """What was counted, which is right while the logs stand where they stood then."""

    def __init__(self, seconds: float = COUNTED_SECONDS, *, most: int = MOST_KEPT) -> None:
        super().__init__(seconds, most=most)


async def total_of(
    reader: Reader,
    *,
    caller: Principal,
    reach: Reach,
    found: Shaped,
    parameters: Mapping[str, Any],
    exact_up_to: int,
    kept: KeptEstimates | None,
) -> Total:
    """Return the total as count_tasks does, or what the same caller was told of the same list a moment ago.

    Where nothing is `kept`, it is of this moment.
    """
    began = time.monotonic()
    asked = b"" if kept is None else made_for(caller, reach, found, parameters)
    total = None if kept is None else kept.find(asked, now=began)
    if total is None:
        total = await count_tasks(
            reader, caller=caller, reach=reach, found=found, parameters=parameters, exact_up_to=exact_up_to
        )
        if kept is not None and total.is_estimate:
            kept.keep(asked, total, now=began)
    return total


def made_for(caller: Principal, reach: Reach, found: Shaped, parameters: Mapping[str, Any]) -> bytes:
    """Return what tells whom and what a total is for from all others, however much is asked.

    It is made of text, in which 1 is not true, nor 1.0.
    """
    asked = (sight_of(caller), seen_by(caller), reach, found.shape, found.values, parameters)
    return hashlib.sha256(repr(asked).encode(errors="surrogatepass")).digest()
