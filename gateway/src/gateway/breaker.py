"""Leaving a service alone that does not answer (R26), and not asking too often twice (R25)."""

import time
from collections import deque
from dataclasses import dataclass, field

from gateway.errors import UpstreamUnavailable

CONSECUTIVE = 5
SAMPLE = 20
RATIO = 0.5
WINDOW_SECONDS = 10.0
OPEN_SECONDS = 2.0
IN_FLIGHT = 256
RETRY_SHARE = 0.1
RETRIES_ALWAYS = 3


@dataclass
class Breaker:
    """Opens on 5 failures in a row, or half of at least 20 in 10 s; one probe every 2 s closes it again."""

    failures_in_a_row: int = 0
    opened_at: float | None = None
    in_flight: int = 0
    outcomes: deque[tuple[float, bool]] = field(default_factory=deque)
    failed: int = 0
    """How many of the outcomes are failures."""

    def enter(self) -> None:
        """Take a place. Raises UpstreamUnavailable when open or full."""
        now = time.monotonic()
        if self.opened_at is not None and now - self.opened_at < OPEN_SECONDS:
            raise UpstreamUnavailable(retry_after=2)
        if self.in_flight >= IN_FLIGHT:
            raise UpstreamUnavailable(retry_after=2)
        if self.opened_at is not None:
            # This request is the probe; the next one comes after another two seconds.
            self.opened_at = now
        self.in_flight += 1

    def leave(self, *, ok: bool | None) -> None:
        """Give the place back and note how it went; None when that says nothing of the service."""
        self.in_flight -= 1
        if ok is None:
            return
        now = time.monotonic()
        self._note(now, ok=ok)
        if ok:
            self.failures_in_a_row = 0
            if self.opened_at is not None:
                self._close()
            return
        self.failures_in_a_row += 1
        if self.failures_in_a_row >= CONSECUTIVE or self._mostly_failing():
            self.opened_at = now

    def _note(self, now: float, *, ok: bool) -> None:
        self.outcomes.append((now, ok))
        self.failed += not ok
        while self.outcomes[0][0] < now - WINDOW_SECONDS:
            _, was_ok = self.outcomes.popleft()
            self.failed -= not was_ok

    def _close(self) -> None:
        """Serve again, and let what failed before count no more."""
        self.opened_at = None
        self.outcomes.clear()
        self.failed = 0

    def _mostly_failing(self) -> bool:
        return len(self.outcomes) >= SAMPLE and self.failed / len(self.outcomes) >= RATIO


@dataclass
class RetryBudget:
    """Second tries: a tenth of the requests of ten seconds, and three at least."""

    window_ends: float = 0.0
    requests: int = 0
    retries: int = 0

    def count(self) -> None:
        """Count a request."""
        now = time.monotonic()
        if now >= self.window_ends:
            self.window_ends, self.requests, self.retries = now + WINDOW_SECONDS, 0, 0
        self.requests += 1

    def take(self) -> bool:
        """Tell whether one more second try is allowed, and count it."""
        if self.retries >= max(RETRIES_ALWAYS, self.requests * RETRY_SHARE):
            return False
        self.retries += 1
        return True
