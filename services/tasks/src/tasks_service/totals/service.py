"""Totals of lists, which are kept: to count takes longer than the page does.

An estimate is kept for a few seconds, and what was counted for as long as nothing has changed.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from chassis.identity import Principal

from tasks_service.keeping.rules import KEPT_SECONDS, Kept
from tasks_service.matching.repository import Shaped
from tasks_service.places.rules import Reach
from tasks_service.totals.repository import Reader, Total, count_tasks
from tasks_service.visibility.repository import seen_by, sight_of

ESTIMATED_SECONDS = 5.0
"""Of some hundred tasks that tell of more than ten thousand a few seconds more or less make no difference."""
MOST_KEPT = 5000


class Counted(NamedTuple):
    """A total, and where the logs stood of all that its caller saw then (changes.repository.state_of_log)."""

    total: Total
    log_at: UUID


class KeptEstimates(Kept[Total]):
    """Estimates: who turns pages, or looks again, is told the same."""

    def __init__(self, seconds: float = ESTIMATED_SECONDS, *, most: int = MOST_KEPT) -> None:
        super().__init__(seconds, most=most)


class KeptTotals(Kept[Counted]):
    """What was counted, which is right while the logs stand where they stood then."""

    def __init__(self, seconds: float = KEPT_SECONDS, *, most: int = MOST_KEPT) -> None:
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
