"""When something that failed is tried again."""

from dataclasses import dataclass
from datetime import timedelta

SPREAD = 0.2


@dataclass(frozen=True, slots=True)
class Schedule:
    """Waits in seconds: those after the first failures, then the same one after each, until the last attempt."""

    first: tuple[int, ...]
    later: int
    last_attempt: int

    def after(self, attempts: int, *, chance: float) -> timedelta | None:
        """Return how long to wait after so many failures, None when it is time to give up.

        `chance` from 0 to 1 spreads the wait by a fifth to either side, so that what failed at once does not come
        back at once.
        """
        if attempts >= self.last_attempt:
            return None
        seconds = self.first[attempts - 1] if attempts <= len(self.first) else self.later
        return timedelta(seconds=seconds * (1 - SPREAD + 2 * SPREAD * chance))


A_DAY = Schedule(first=(5, 30, 120, 600, 1800), later=3600, last_attempt=29)
TWO_HOURS = Schedule(first=(5, 30, 120, 600, 1800), later=1800, last_attempt=9)
