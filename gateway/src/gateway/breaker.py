"""Leaving a service alone that does not answer (R26)."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from gateway.errors import UpstreamUnavailable

CONSECUTIVE = 5
SAMPLE = 20
RATIO = 0.5
WINDOW_SECONDS = 10.0
OPEN_SECONDS = 2.0
IN_FLIGHT = 256


@dataclass
class Breaker:
    """Opens on 5 failures in a row, or half of at least 20 in 10 s; one probe every 2 s closes it again."""

    failures_in_a_row: int = 0
    opened_at: float | None = None
    in_flight: int = 0
    outcomes: deque[tuple[float, bool]] = field(default_factory=deque)

    def enter(self) -> None:
        """Take a place. Raises UpstreamUnavailable when open or full."""
        now = asyncio.get_running_loop().time()
        if self.opened_at is not None:
            if now - self.opened_at < OPEN_SECONDS:
                raise UpstreamUnavailable(retry_after=2)
            # This request is the probe; the next one comes after another two seconds.
            self.opened_at = now
        if self.in_flight >= IN_FLIGHT:
            raise UpstreamUnavailable(retry_after=1)
        self.in_flight += 1

    def leave(self, *, ok: bool) -> None:
        """Give the place back and note how it went."""
        self.in_flight -= 1
        now = asyncio.get_running_loop().time()
        self.outcomes.append((now, ok))
        while self.outcomes and self.outcomes[0][0] < now - WINDOW_SECONDS:
            self.outcomes.popleft()
        if ok:
            self.failures_in_a_row = 0
            self.opened_at = None
            return
        self.failures_in_a_row += 1
        if self.failures_in_a_row >= CONSECUTIVE or self._mostly_failing():
            self.opened_at = now

    def _mostly_failing(self) -> bool:
        failed = sum(not ok for _, ok in self.outcomes)
        return len(self.outcomes) >= SAMPLE and failed / len(self.outcomes) >= RATIO
