"""The limit (R23, R24): exact over any window, shared by all processes, and never away."""

import asyncio
import math
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from urllib.parse import urlparse

import pytest
import redis.asyncio as redis
import structlog
import uvloop
from chassis.ids import uuid7
from chassis.telemetry.logs import bind_ids
from gateway.rate_limit import MOST_AT_ONCE, LocalLog, Quota, RateLimiter
from testkit.servers import free_port
from testkit.waiting import eventually

PATH = "/api/v1/tasks"


def quota(limit=10):
    return Quota(f"user:{uuid7()}", limit, "user")


@pytest.fixture
async def server(valkey_url):
    async with redis.Redis.from_url(valkey_url) as found:
        yield found


async def pour(limiter, counted, *, seconds, pause):
    """Ask as fast as `pause` says; return what was allowed, by the clock of Redis, and how many were refused."""
    loop = asyncio.get_running_loop()
    end, refused = loop.time() + seconds, 0
    while loop.time() < end:
        decision = await limiter.decide(counted)
        refused += not decision.allowed
        await asyncio.sleep(pause())
    return refused


async def counted_instants(server, counted):
    return [int(entry) for entry in await server.lrange(f"taskloom:limit:{counted.key}", 0, -1)]


def model(arrivals, limit, window):
    """The rule itself: allowed when fewer than `limit` were allowed in the window before."""
    allowed = []
    for arrival in arrivals:
        recent = [one for one in allowed if arrival - window < one]
        if len(recent) < limit:
            allowed.append(arrival)
    return allowed


@pytest.mark.parametrize("seed", range(20))
def test_r23_local_log_decides_as_the_model_does(seed):
    chance = random.Random(seed)
    limit, window = chance.choice([(1, 1.0), (5, 2.0), (100, 60.0)])
    arrivals, now = [], 0.0
    for _ in range(2000):
        now += chance.choice([0.0, chance.expovariate(limit / window), chance.expovariate(4 * limit / window)])
        arrivals.append(now)
    log, one = LocalLog(window), Quota("a", limit, "user")
    allowed = [arrival for arrival in arrivals if log.decide(one, now=arrival).allowed]
    assert allowed == model(arrivals, limit, window)
    assert all(later - earlier >= window for earlier, later in zip(allowed, allowed[limit:], strict=False))


def test_r23_even_95_a_minute_are_never_refused():
    log, one = LocalLog(60.0), Quota("a", 100, "user")
    assert all(log.decide(one, now=number * 60 / 95).allowed for number in range(3000))


@pytest.mark.parametrize("seed", range(3))
async def test_r23_no_window_holds_more_than_the_limit_whatever_the_arrivals(server, seed):
    chance = random.Random(seed)
    window, limit = 0.4, 10
    one = quota(limit)
    limiters = [RateLimiter(server, workers=2, window_seconds=window, patience_seconds=2) for _ in range(2)]
    seen = set()

    async def watch():
        while True:
            seen.update(await counted_instants(server, one))
            await asyncio.sleep(window / 20)

    watching = asyncio.create_task(watch())
    pauses = [lambda: chance.choice([0, 0, 0.001, 0.05]), lambda: chance.uniform(0, 0.02)]
    refused = await asyncio.gather(
        *(pour(limiter, one, seconds=1.2, pause=pause) for limiter, pause in zip(limiters, pauses, strict=True))
    )
    watching.cancel()
    allowed = sorted(seen)
    assert sum(refused) > 0
    assert len(allowed) > 2 * limit
    assert all(later - earlier >= window * 1e6 for earlier, later in zip(allowed, allowed[limit:], strict=False))


async def test_r23_even_arrivals_just_below_the_limit_are_never_refused(server):
    window, limit = 0.5, 10
    limiter, one = RateLimiter(server, workers=1, window_seconds=window, patience_seconds=2), quota(limit)
    assert await pour(limiter, one, seconds=1.2, pause=lambda: window / limit / 0.95) == 0


async def test_r23_many_at_once_are_counted_one_by_one(server):
    limiter, one = RateLimiter(server, workers=1, patience_seconds=2), quota(100)
    decisions = await asyncio.gather(*(limiter.decide(one) for _ in range(2 * MOST_AT_ONCE + 1)))
    refused = 2 * MOST_AT_ONCE + 1 - 100
    assert [decision.allowed for decision in decisions] == [True] * 100 + [False] * refused
    assert [decision.remaining for decision in decisions] == [*range(99, -1, -1), *[0] * refused]


async def test_r23_redis_is_not_woken_for_each_request_of_many(own_valkey):
    """Whoever comes shortly after a call is decided by the next one, with all who came meanwhile."""
    async with redis.Redis.from_url(own_valkey.url) as server:
        limiter, one = RateLimiter(server, workers=1, patience_seconds=2, pace_seconds=1), quota(1000)
        await limiter.decide(one)
        before, deciding = await calls_of_scripts(server), []
        for _ in range(40):
            deciding.append(asyncio.create_task(limiter.decide(one)))
            await server.ping()
        assert [one.remaining for one in await asyncio.gather(*deciding)] == [*range(998, 958, -1)]
        assert await calls_of_scripts(server) - before == 1


async def test_r23_who_fills_a_call_waits_for_nobody_else(own_valkey):
    async with redis.Redis.from_url(own_valkey.url) as server:
        limiter, one = RateLimiter(server, workers=1, patience_seconds=2, pace_seconds=3600), quota(1000)
        await limiter.decide(one)
        await asyncio.wait_for(asyncio.gather(*(limiter.decide(one) for _ in range(MOST_AT_ONCE))), 30)


async def calls_of_scripts(server):
    return (await server.info("commandstats"))["cmdstat_evalsha"]["calls"]


async def test_r23_refusals_are_not_counted(server):
    window = 0.5
    limiter, one = RateLimiter(server, workers=1, window_seconds=window, patience_seconds=2), quota(3)
    assert [(await limiter.decide(one)).allowed for _ in range(3)] == [True] * 3
    loop = asyncio.get_running_loop()
    full_at = loop.time()
    refused = await limiter.decide(one)
    assert (refused.allowed, refused.remaining) == (False, 0)
    while not (await limiter.decide(one)).allowed:
        await asyncio.sleep(0.01)
    assert loop.time() - full_at < window + 0.2
    assert len(await counted_instants(server, one)) <= 3


async def test_r23_headers_are_on_every_answer(start, auth, services, reply, is_refused):
    async def behave(scope, _receive, send):
        status = int(scope["path"].rpartition("/")[2])
        await reply(send, status, b"" if status in (204, 304) else b"{}", [])

    services.tasks.behave = behave
    user = auth.user()
    limits = {"rate_limit_per_minute": 50, "anonymous_limit_per_minute": 60, "trusted_proxies": ("127.0.0.1/32",)}
    somewhere = {"x-forwarded-for": f"198.51.101.{random.randrange(1, 255)}"}
    async with start(**limits) as gateway, gateway.client(headers=somewhere) as api:
        remaining = 50
        for status in (200, 201, 204, 304, 400, 404, 409, 412, 422, 500, 502, 503):
            answer = await api.get(f"/api/v1/tasks/{status}", headers=user.headers)
            assert answer.status_code == status
            remaining -= 1
            assert answer.headers["ratelimit-policy"] == '"user";q=50;w=60'
            assert answer.headers["ratelimit"].startswith(f'"user";r={remaining};t=')
            assert answer.headers["x-ratelimit-limit"] == "50"
            assert answer.headers["x-ratelimit-remaining"] == str(remaining)
            assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000
            assert answer.headers["x-ratelimit-cost"] == "1"
        too_large = {**user.headers, "content-type": "application/json", "content-length": str(2**21)}
        is_refused(await api.post(PATH, content=b"x" * 2**21, headers=too_large), 413, "PAYLOAD_TOO_LARGE")
        anonymous = [
            (await api.get(PATH), 401, "UNAUTHENTICATED"),
            (await api.get(PATH, headers={"authorization": "Bearer x.y.z"}), 401, "INVALID_TOKEN"),
            (await api.get("/api/v1/nothing"), 404, "ROUTE_NOT_FOUND"),
            (await api.get("/api/v1/tasks;x"), 400, "MALFORMED_PATH"),
            (await api.get(PATH, headers={"host": "evil.example"}), 421, "MISDIRECTED_HOST"),
            (await api.get("/" + "a" * 9000), 414, "TARGET_TOO_LONG"),
            (await api.get(PATH, headers={"x-a": "a" * 9000}), 431, "HEADERS_TOO_LARGE"),
        ]
        for answer, status, code in anonymous:
            is_refused(answer, status, code)
            assert answer.headers["ratelimit-policy"] == '"anonymous";q=60;w=60'
            assert answer.headers["ratelimit"].startswith('"anonymous";r=')
        assert (await api.get("/docs")).headers["ratelimit"].startswith('"anonymous";r=')
        assert "ratelimit" not in (await api.get("/livez")).headers


async def test_r23_two_tokens_and_two_processes_share_the_limit_of_a_user(start, auth, tasks, is_refused):
    first = auth.user()
    second = auth.user(sub=str(first.id))
    limit = {"rate_limit_per_minute": 6}
    async with start(**limit) as one, start(**limit) as other, one.client() as api, other.client() as beside:
        answers = [
            await client.get(PATH, headers=token.headers)
            for client, token in ((api, first), (beside, second), (api, second), (beside, first), (api, first))
        ]
        assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["5", "4", "3", "2", "1"]
        assert (await beside.get(PATH, headers=second.headers)).status_code == 200
        for client, token in ((api, first), (beside, second)):
            refused = await client.get(PATH, headers=token.headers)
            is_refused(refused, 429, "RATE_LIMITED")
            wait = int(refused.headers["retry-after"])
            assert 1 <= wait <= 60
            assert refused.headers["ratelimit"] == f'"user";r=0;t={wait}'
        assert len(tasks.requests) == 6
        assert (await api.get(PATH, headers=auth.user().headers)).status_code == 200


async def test_r23_addresses_have_limits_of_their_own(start, auth, services, is_refused):
    client = {"x-forwarded-for": f"198.51.100.{random.randrange(1, 255)}"}
    limits = {"anonymous_limit_per_minute": 2, "login_limit_per_minute": 1, "trusted_proxies": ("127.0.0.1/32",)}
    async with start(**limits) as gateway, gateway.client(headers=client) as api:
        assert (await api.post("/api/v1/auth/login", json={})).status_code == 200
        for path in ("login", "register", "refresh", "token"):
            answer = await api.post(f"/api/v1/auth/{path}", json={})
            is_refused(answer, 429, "RATE_LIMITED")
            assert answer.headers["ratelimit-policy"] == '"login";q=1;w=60'
        assert len(services.auth.requests) == 1
        for _ in range(2):
            assert (await api.get(PATH)).status_code == 401
        is_refused(await api.get(PATH), 429, "RATE_LIMITED")
        is_refused(await api.get("/docs"), 429, "RATE_LIMITED")
        is_refused(await api.get("/api/v1/tasks;"), 429, "RATE_LIMITED")
        assert (await api.get(PATH, headers=auth.user().headers)).status_code == 200
        elsewhere = {"x-forwarded-for": "203.0.113.9, 127.0.0.1"}
        assert (await api.get("/docs", headers=elsewhere)).status_code == 200


async def test_r24_without_redis_each_process_counts_its_share_and_back(start, auth, own_valkey, is_refused):
    user = auth.user()
    async with start(redis_url=own_valkey.url, rate_limit_per_minute=10, workers=3) as gateway, gateway.client() as api:
        assert (await api.get(PATH, headers=user.headers)).headers["x-ratelimit-remaining"] == "9"
        own_valkey.kill()
        answers = [await api.get(PATH, headers=user.headers) for _ in range(4)]
        # The one that Redis has allowed counts.
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"user-degraded";q=4;w=60'
        assert [answer.headers["x-ratelimit-remaining"] for answer in answers[:3]] == ["2", "1", "0"]
        is_refused(answers[3], 429, "RATE_LIMITED")
        assert 1 <= int(answers[3].headers["retry-after"]) <= 60
        own_valkey.start()

        async def back():
            answer = await api.get(PATH, headers=user.headers)
            return answer if answer.headers["ratelimit-policy"] == '"user";q=10;w=60' else None

        # The log of the time before is still there: nobody gains by an outage of a durable server.
        assert (await eventually(back)).headers["x-ratelimit-remaining"] == "8"


async def test_r24_what_redis_has_allowed_counts_when_it_goes_away(start, auth, tasks, own_valkey, is_refused):
    user = auth.user()
    async with start(redis_url=own_valkey.url, rate_limit_per_minute=10) as gateway, gateway.client() as api:
        for _ in range(7):
            assert (await api.get(PATH, headers=user.headers)).headers["ratelimit-policy"] == '"user";q=10;w=60'
        own_valkey.kill()
        answers = [await api.get(PATH, headers=user.headers) for _ in range(5)]
        assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
        for answer in answers[3:]:
            is_refused(answer, 429, "RATE_LIMITED")
        assert len(tasks.requests) == 10


def test_r24_local_log_above_its_share_says_when_there_is_a_place_again():
    log, one = LocalLog(60.0), Quota("a", 2, "user")
    for now in (0.0, 10.0, 20.0, 30.0):
        log.note("a", now=now)
    refused = log.decide(one, now=40.0)
    assert (refused.allowed, refused.remaining, refused.reset) == (False, 0, 40.0)
    assert log.decide(one, now=80.0).allowed


def test_r24_local_log_forgets_who_was_not_seen_in_the_window():
    log = LocalLog(60.0)
    for number in range(10_000):
        log.note(f"user:{number}", now=number / 10)
    assert len(log) == 600


def test_r24_local_log_holds_no_more_than_fifty_thousand():
    log = LocalLog(60.0)
    for number in range(50_010):
        log.note(f"user:{number}", now=1.0)
    assert len(log) == 50_000


@asynccontextmanager
async def answering(answer, *, scripts_a_connection=math.inf):
    """A Redis that answers scripts with `answer`, so many on each connection and then ends it, and OK to all else."""

    async def serve(reader, writer):
        left = scripts_a_connection
        while head := await reader.readline():
            parts = []
            for _ in range(int(head[1:])):
                size = int((await reader.readline())[1:])
                parts.append((await reader.readexactly(size + 2))[:-2])
            is_script = parts[0].upper().startswith(b"EVAL")
            left -= is_script
            if left < 0:
                break
            writer.write(answer if is_script else b"+OK\r\n")
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield f"redis://127.0.0.1:{port}"


@pytest.mark.parametrize("answer", [b"*0\r\n", b"$-1\r\n", b":1\r\n", b"*3\r\n:1\r\n$1\r\nx\r\n$1\r\nx\r\n"])
async def test_r24_answer_of_another_form_is_degraded_and_nobody_waits_for_ever(answer):
    async with answering(answer) as url, redis.Redis.from_url(url) as server:
        limiter, one = RateLimiter(server, workers=1), quota(2)
        decisions = await asyncio.wait_for(asyncio.gather(*(limiter.decide(one) for _ in range(3))), 5)
        assert [decision.allowed for decision in decisions] == [True, True, False]
        assert {decision.policy for decision in decisions} == {"user-degraded"}


async def test_r24_a_held_connection_that_is_gone_is_replaced_and_nobody_is_degraded():
    """What is between, such as a balancer, forgets idle connections without a word, and resets them when used."""
    answered = b"*5\r\n:1\r\n:9\r\n:60000000\r\n:0\r\n:0\r\n"
    async with answering(answered, scripts_a_connection=1) as url, redis.Redis.from_url(url) as server:
        limiter, one = RateLimiter(server, workers=1, patience_seconds=2), quota(10)
        assert [(await limiter.decide(one)).policy for _ in range(4)] == ["user"] * 4


async def test_r24_a_redis_that_ends_every_connection_is_degraded():
    async with answering(b"", scripts_a_connection=0) as url, redis.Redis.from_url(url) as server:
        limiter, one = RateLimiter(server, workers=1, patience_seconds=2), quota(10)
        assert (await limiter.decide(one)).policy == "user-degraded"


async def test_r24_redis_that_hangs_delays_nobody_for_long(start, auth, own_valkey):
    user = auth.user()
    async with (
        start(redis_patience_ms=50, redis_url=own_valkey.url, rate_limit_per_minute=10) as gateway,
        gateway.client() as api,
    ):
        assert (await api.get(PATH, headers=user.headers)).status_code == 200
        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        try:
            loop = asyncio.get_running_loop()
            began = loop.time()
            answer = await api.get(PATH, headers=user.headers)
            assert answer.headers["ratelimit-policy"] == '"user-degraded";q=10;w=60'
            assert loop.time() - began < 1
            ticket = await api.post("/api/v1/ws-tickets", headers=user.headers)
            assert (ticket.status_code, ticket.json()["errors"][0]["code"]) == (503, "TICKETS_UNAVAILABLE")
            assert loop.time() - began < 3
        finally:
            os.kill(own_valkey.process.pid, signal.SIGCONT)


async def test_r24_whoever_waits_behind_a_call_that_hangs_is_not_kept_waiting_by_another(own_valkey):
    async with redis.Redis.from_url(own_valkey.url) as server:
        # As where the machine stands still until Redis would be asked again.
        limiter, one = RateLimiter(server, workers=1, pause_seconds=0), quota(10_000)

        async def is_connected():
            return (await limiter.decide(one)).policy == "user"

        # Connecting may take a busy machine longer than the limiter waits.
        await eventually(is_connected)
        bind_ids(request_id="somebody", trace_id="0" * 32)
        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        try:
            with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
                decisions = await asyncio.gather(*(limiter.decide(one) for _ in range(3 * MOST_AT_ONCE)))
        finally:
            os.kill(own_valkey.process.pid, signal.SIGCONT)
        assert {decision.policy for decision in decisions} == {"user-degraded"}
        [told] = [line for line in lines if line["event"] == "rate_limit.degraded"]
        # It is about the process, and not about whoever came first.
        assert "request_id" not in told


async def test_r23_scripts_may_be_flushed(start, auth, own_valkey):
    user = auth.user()
    async with (
        start(redis_url=own_valkey.url, rate_limit_per_minute=10) as gateway,
        gateway.client() as api,
        redis.Redis.from_url(own_valkey.url) as server,
    ):
        for remaining in (9, 8, 7):
            await server.script_flush()
            answer = await api.get(PATH, headers=user.headers)
            assert answer.headers["ratelimit"].startswith(f'"user";r={remaining};')


@asynccontextmanager
async def delayed(url, delay):
    """A way to Redis on which answers take as long as `delay()` says."""
    target = urlparse(url)

    async def pump(reader, writer, pause):
        while data := await reader.read(65536):
            await asyncio.sleep(pause())
            writer.write(data)
        writer.close()

    pumps = []

    async def serve(reader, writer):
        ahead, back = await asyncio.open_connection(target.hostname, target.port)
        pumps.extend(
            [asyncio.create_task(pump(reader, back, lambda: 0)), asyncio.create_task(pump(ahead, writer, delay))]
        )

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield f"redis://127.0.0.1:{port}"
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def test_r24_slow_redis_is_degraded_and_late_answers_are_nobody_elses(valkey_url):
    """R38: the answer to a command that was given up is never read as the answer to the next one."""
    delays = {"now": 0.0}
    async with delayed(valkey_url, lambda: delays["now"]) as url, redis.Redis.from_url(url) as server:
        limiter = RateLimiter(server, workers=1)
        warm = quota(50)
        assert (await limiter.decide(warm)).policy == "user"
        delays["now"] = 0.3
        assert (await limiter.decide(warm)).policy == "user-degraded"
        delays["now"] = 0.0
        fresh = quota(7)

        async def back():
            decision = await limiter.decide(fresh)
            return decision if decision.policy == "user" else None

        decision = await eventually(back)
        assert (decision.limit, decision.remaining) == (7, 6)


async def test_r24_a_redis_that_takes_longer_to_connect_to_than_anybody_waits_is_connected_to(valkey_url):
    async with delayed(valkey_url, lambda: 0.025) as url, redis.Redis.from_url(url) as server:
        limiter, one = RateLimiter(server, workers=1), quota(50)
        assert (await limiter.decide(one)).policy == "user-degraded"

        async def back():
            return (await limiter.decide(one)).policy == "user"

        await eventually(back)


def test_r24_busy_loop_is_not_taken_for_a_slow_redis(valkey_url):
    """The answer is in the socket's buffer while the loop does something else for longer than 50 ms.

    On uvloop, as in production: it runs timers before it reads.
    """

    async def decide_while_busy(loop, limiter, turns):
        def be_busy(left):
            busy_until = time.monotonic() + 0.06
            while time.monotonic() < busy_until:
                pass
            if left > 1:
                loop.call_soon(be_busy, left - 1)

        loop.call_soon(be_busy, turns)
        return (await limiter.decide(quota())).policy

    async def decide_often():
        async with redis.Redis.from_url(valkey_url) as server:
            limiter = RateLimiter(server, workers=1)
            await limiter.decide(quota())
            loop = asyncio.get_running_loop()
            return [await decide_while_busy(loop, limiter, turns) for turns in (3, 1, 2, 3, 4, 5, 3)]

    def run():
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(decide_often())

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() == ["user"] * 7
