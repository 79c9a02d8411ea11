"""An exact sliding log in Redis: never more than the limit in any window, and never a refusal below it (R23, R24).

The same call remembers who writes, and says who has written a moment ago (R41), since it is asked about every request.

Decisions go to Redis in one script call at a time, with all that were asked for since the last one, and calls are
paced: under load that is a fraction of a call each. While Redis is slow or away, every process counts for itself with
its share of the limit; what it has allowed by Redis within the window counts there too. The other way round it does
not: what was allowed while Redis was away is never told to Redis, so that for one window after an outage a user may
have those requests on top of the limit. Who has written meanwhile is told, with the next request that a process counts
there.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from contextvars import Context
from functools import lru_cache
from typing import NamedTuple

import redis.asyncio as redis
import structlog
from prometheus_client import Counter, Gauge
from redis.exceptions import RedisError

from gateway.limit_script import HeldScript
from gateway.own_writes import UntoldWrites
from gateway.patience import Patience

log = structlog.get_logger()

DECISIONS = Counter("taskloom_rate_limit_total", "Decisions.", ["policy", "outcome"])
DEGRADED = Gauge("taskloom_rate_limit_degraded", "1 while this process counts for itself.")

WINDOW_SECONDS = 60
REDIS_SECONDS = 0.05
PAUSE_SECONDS = 1.0
PACE_SECONDS = 0.005
"""About what is between the beginnings of two calls at least: waking Redis costs more than what it decides. The first
call after a rest begins at once, and so does one that is full."""
LOCAL_KEYS = 50_000
NO_LIMIT = 1_000_000_000
MOST_AT_ONCE = 250
"""What one script call counts, unless it is one decision: Redis does nothing else meanwhile, some 10 us for each."""
TROUBLE = (RedisError, OSError, TimeoutError)

SLIDING_LOG = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local entry = string.format('%.0f', now)
local answers = {}
for i = 1, #KEYS do
  local key, limit, window = KEYS[i], tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
  local cost, remembered = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local wrote = key .. ':wrote'
  local oldest = redis.call('LINDEX', key, 0)
  while oldest and tonumber(oldest) <= now - window do
    redis.call('LPOP', key)
    oldest = redis.call('LINDEX', key, 0)
  end
  local count, allowed, wait = redis.call('LLEN', key), 0, 0
  local above = count + math.max(cost, 1) - limit
  if above <= 0 then
    for _ = 1, cost do
      redis.call('RPUSH', key, entry)
    end
    redis.call('PEXPIRE', key, math.ceil(window / 1000) + 1000)
    count, allowed = count + cost, 1
    if remembered > 0 and redis.call('PTTL', wrote) < remembered then
      redis.call('SET', wrote, '', 'PX', remembered)
    end
  else
    wait = tonumber(redis.call('LINDEX', key, above - 1) or now) + window - now
  end
  answers[5 * i - 4] = allowed
  answers[5 * i - 3] = limit - count
  answers[5 * i - 2] = tonumber(oldest or now) + window - now
  answers[5 * i - 1] = wait
  answers[5 * i] = redis.call('EXISTS', wrote)
end
return answers
"""


class Quota(NamedTuple):
    """Who is counted: a key, a limit a window, and the name that the policy has in answers.

    A request takes `cost` of it at once, or nothing. With 0 it is only asked whether there is room for a request.
    With room, that it writes is remembered for `remembered` seconds; 0 is a request that does not.
    """

    key: str
    limit: int
    policy: str
    cost: int = 1
    remembered: float = 0.0


class Decision(NamedTuple):
    """Whether the request goes on.

    In seconds: `reset` is when the oldest counted request leaves the window, `wait` when a refused one has room.
    `has_written` says of whoever is counted that a write of theirs is remembered, or that nobody can know.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: float
    policy: str
    cost: int = 1
    wait: float = 0.0
    has_written: bool = True

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the fields that every answer carries (draft-ietf-httpapi-ratelimit-headers, and the older ones)."""
        reset = max(1, math.ceil(self.reset))
        policy = self.policy.encode()
        fields = [
            (b"ratelimit-policy", b'"%s";q=%d;w=%d' % (policy, self.limit, WINDOW_SECONDS)),
            (b"ratelimit", b'"%s";r=%d;t=%d' % (policy, self.remaining, reset)),
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % (time.time() + reset)),
            (b"x-ratelimit-cost", b"%d" % max(1, self.cost)),
        ]
        return fields if self.allowed else [*fields, (b"retry-after", b"%d" % self.retry_after)]

    @property
    def retry_after(self) -> int:
        return max(1, math.ceil(self.reset), math.ceil(self.wait))


@lru_cache
def _counter(policy: str, *, allowed: bool) -> Counter:
    """Return what counts such decisions, which is kept, since to find it costs more than to count."""
    return DECISIONS.labels(policy, "allowed" if allowed else "refused")


class RateLimiter:
    """Counts requests; `workers` is how many processes share the limit while each counts for itself."""

    def __init__(
        self,
        server: redis.Redis,
        *,
        workers: int,
        window_seconds: float = WINDOW_SECONDS,
        patience_seconds: float = REDIS_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        pace_seconds: float = PACE_SECONDS,
    ) -> None:
        self._script = HeldScript(server, SLIDING_LOG)
        self._patience = patience_seconds
        self._pause = pause_seconds
        self._pace_seconds = pace_seconds
        self._workers = workers
        self._window = window_seconds
        self._waiting: list[tuple[Quota, asyncio.Future[Decision]]] = []
        self._local = LocalLog(window_seconds)
        self._untold = UntoldWrites()
        self._resume_at = 0.0
        self._next_call_at = 0.0
        self._told_degraded: bool | None = None
        """What the gauge was set to last."""
        self._deciding: asyncio.Task[None] | None = None

    async def decide(self, quota: Quota) -> Decision:
        """Count one request against a quota, or look whether one would be counted."""
        decision = await self._decide(quota)
        if quota.cost == 0 and decision.allowed:
            return decision
        _counter(decision.policy, allowed=decision.allowed).inc()
        return decision

    async def _decide(self, quota: Quota) -> Decision:
        if time.monotonic() < self._resume_at:
            return self._decide_locally(quota)
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting.append((quota, future))
        if self._deciding is None:
            # It works for whoever comes, and what it logs is of no request.
            self._deciding = asyncio.create_task(self._decide_waiting(), context=Context())
        return await future

    async def _decide_waiting(self) -> None:
        """Decide until nobody waits; who comes meanwhile is in the next batch."""
        batch: list[tuple[Quota, asyncio.Future[Decision]]] = []
        try:
            while self._waiting:
                await self._pace()
                batch = self._next_batch()
                decisions = await self._decide_by_redis([quota for quota, _ in batch])
                if decisions is None:
                    # Nobody who waits behind the call that failed is kept waiting by another one.
                    batch += self._take_waiting(len(self._waiting))
                    decisions = [self._decide_locally(quota) for quota, _ in batch]
                for (_, future), decision in zip(batch, decisions, strict=True):
                    if not future.done():
                        future.set_result(decision)
        finally:
            self._deciding = None
            # Of an end before the end, such as the process's: nobody waits for ever.
            for _, future in (*batch, *self._waiting):
                future.cancel()
            self._waiting.clear()

    async def _pace(self) -> None:
        """Wait until the next call may begin, if more can come for it, and note that it does."""
        now = time.monotonic()
        if now < self._next_call_at and len(self._waiting) < MOST_AT_ONCE:
            await asyncio.sleep(self._next_call_at - now)
        self._next_call_at = time.monotonic() + self._pace_seconds

    def _next_batch(self) -> list[tuple[Quota, asyncio.Future[Decision]]]:
        size = counted = 0
        for quota, _ in self._waiting:
            counted += max(1, quota.cost)
            if size and counted > MOST_AT_ONCE:
                break
            size += 1
        return self._take_waiting(size)

    def _take_waiting(self, size: int) -> list[tuple[Quota, asyncio.Future[Decision]]]:
        batch = self._waiting[:size]
        del self._waiting[:size]
        return batch

    async def _decide_by_redis(self, quotas: list[Quota]) -> list[Decision] | None:
        """Return what Redis decides; None where it can't be asked, and then everybody is decided here for a while."""
        try:
            decisions = await self._ask(quotas)
        except TROUBLE as error:
            self._degrade(type(error).__name__)
        except Exception:
            # Such as an answer of another form. Whoever waits for a decision would wait for ever.
            log.exception("rate_limit.crashed")
            self._degrade("crashed")
        else:
            self._note(decisions, quotas)
            return decisions
        return None

    def _note(self, decisions: list[Decision], quotas: list[Quota]) -> None:
        """Have the local log count what Redis has allowed, in case it has to decide next."""
        self._tell(degraded=False)
        now = time.monotonic()
        for decision, quota in zip(decisions, quotas, strict=True):
            if decision.allowed:
                self._local.note(quota.key, now=now, cost=quota.cost)

    async def _ask(self, quotas: list[Quota]) -> list[Decision]:
        window = int(self._window * 1_000_000)
        told = self._to_be_told()
        asked = [*told, *quotas]
        keys = [f"taskloom:limit:{quota.key}" for quota in asked]
        arguments = [number for quota in asked for number in _arguments(quota, window)]
        async with Patience(self._patience):
            answers = await self._script.run(keys, arguments)
        decisions = [_decision(quota, *answers[5 * i : 5 * i + 5]) for i, quota in enumerate(asked)]
        self._untold.forget([quota.key for quota in told])
        return decisions[len(told) :]

    def _to_be_told(self) -> list[Quota]:
        """Return what has Redis remember who has written while it was away, and takes nothing of their quotas."""
        if not self._untold:
            return []
        rest = self._untold.rest(now=time.monotonic(), most=MOST_AT_ONCE)
        return [Quota(key, NO_LIMIT, "untold", cost=0, remembered=seconds) for key, seconds in rest]

    def _degrade(self, reason: str) -> None:
        self._resume_at = time.monotonic() + self._pause
        self._tell(degraded=True)
        log.warning("rate_limit.degraded", reason=reason)

    def _tell(self, *, degraded: bool) -> None:
        if degraded != self._told_degraded:
            self._told_degraded = degraded
            DEGRADED.set(degraded)

    def _decide_locally(self, quota: Quota) -> Decision:
        share = math.ceil(quota.limit / self._workers)
        local, now = Quota(quota.key, share, f"{quota.policy}-degraded", quota.cost), time.monotonic()
        decision = self._local.decide(local, now=now)
        if decision.allowed and quota.remembered:
            self._untold.note(quota.key, until=now + quota.remembered)
        return decision


def _arguments(quota: Quota, window: int) -> tuple[int, int, int, int]:
    """Return what the script is told of one quota: its window in microseconds, and milliseconds to remember."""
    return quota.limit, window, quota.cost, math.ceil(quota.remembered * 1000)


def _decision(quota: Quota, allowed: int, remaining: int, reset: int, wait: int, wrote: int) -> Decision:
    """Return what an answer of the script says, in microseconds."""
    return Decision(
        allowed=bool(allowed),
        limit=quota.limit,
        remaining=remaining,
        reset=reset / 1e6,
        policy=quota.policy,
        cost=quota.cost,
        wait=wait / 1e6,
        has_written=bool(wrote),
    )


class LocalLog:
    """The same sliding log within one process; holds no more than what was allowed within a window."""

    def __init__(self, window_seconds: float) -> None:
        self._window = window_seconds
        self._logs: OrderedDict[str, deque[float]] = OrderedDict()

    def decide(self, quota: Quota, *, now: float) -> Decision:
        """Count one request; `now` in seconds of any clock that never goes back."""
        entries = self._entries(quota.key, now)
        above = len(entries) + max(quota.cost, 1) - quota.limit
        if above <= 0:
            entries.extend([now] * quota.cost)
        # More than the limit is in the log when Redis allowed it: a place is free when enough of them have left.
        reset = self._until_gone(entries, len(entries) - quota.limit, now)
        wait = self._until_gone(entries, above - 1, now) if above > 0 else 0.0
        remaining = max(0, quota.limit - len(entries))
        return Decision(above <= 0, quota.limit, remaining, reset, quota.policy, quota.cost, wait)

    def _until_gone(self, entries: deque[float], place: int, now: float) -> float:
        """Return for how many seconds more an entry, or the first one, is in the window; all of it for one to come."""
        place = max(0, place)
        return entries[place] + self._window - now if place < len(entries) else self._window

    def full_for(self, key: str, limit: int, *, now: float) -> float:
        """Return for how many seconds more there are `limit` entries in the window; 0 when there is a place."""
        recent = [at for at in self._logs.get(key, ()) if at > now - self._window]
        return recent[len(recent) - limit] + self._window - now if len(recent) >= limit else 0.0

    def note(self, key: str, *, now: float, cost: int = 1) -> None:
        """Count one request that was allowed elsewhere."""
        self._entries(key, now).extend([now] * cost)

    def __len__(self) -> int:
        return len(self._logs)

    def _entries(self, key: str, now: float) -> deque[float]:
        """Return what of a key is in the window, and forget who was not seen in it: O(1) a request, spread over all."""
        begin = now - self._window
        entries = self._logs.setdefault(key, deque())
        self._logs.move_to_end(key)
        while entries and entries[0] <= begin:
            entries.popleft()
        while (oldest := next(iter(self._logs))) != key:
            others = self._logs[oldest]
            if len(self._logs) <= LOCAL_KEYS and others and others[-1] > begin:
                break
            del self._logs[oldest]
        return entries
