"""What a request costs (E9): told by its body, taken as a whole or not at all, before anything runs."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

import orjson
import pytest
import redis.asyncio as redis
from chassis.ids import uuid7
from gateway.cost import MOST_THINGS, cost_of
from gateway.rate_limit import LocalLog, Quota, RateLimiter
from testkit.waiting import eventually

BULK = "/api/v1/tasks/bulk"
BY_FILTER = "/api/v1/tasks/bulk/by-filter"
PLAIN = "/api/v1/tasks"
DOCUMENT = Path(__file__).parents[2] / "contracts" / "http" / "tasks.openapi.json"


def bulk(count, **more):
    return {"mode": "atomic", "operations": [{"op": "delete", "id": str(uuid7())}] * count, **more}


def quota(limit, cost=1, key=None):
    return Quota(key or f"user:{uuid7()}", limit, "user", cost)


@pytest.mark.parametrize(
    ("things", "cost"), [(0, 1), (1, 2), (25, 2), (26, 3), (50, 3), (51, 4), (200, 9), (1000, 41), (2475, 100)]
)
def test_e9_one_and_one_more_for_each_twenty_five_that_are_begun(things, cost):
    assert cost_of(orjson.dumps({"operations": [{}] * things}), "operations") == cost
    assert cost_of(orjson.dumps({"expected_count": things}), "expected_count") == cost


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        (b"", 1),
        (b"{", 1),
        (b"[1]", 1),
        (b'"expected_count"', 1),
        (b"\xff\xfe{\x00}\x00", 1),
        (b"[" * 5000, 1),
        (b'{"a": ' * 3000 + b"1" + b"}" * 3000, 1),
        (b"{}", 1),
        (b'{"expected_count": null}', 1),
        (b'{"expected_count": {}}', 1),
        (b'{"expected_count": -5}', 1),
        (b'{"expected_count": -1e300}', 1),
        (b'{"expected_count": "many"}', 1),
        (b'{"expected_count": "nan"}', 1),
        (b'{"expected_count": NaN}', 1),
        # What somebody could take for a number costs what the number does.
        (b'{"expected_count": "200"}', 9),
        (b'{"expected_count": " 200 "}', 9),
        (b'{"expected_count": 200.0}', 9),
        (b'{"expected_count": 25.5}', 3),
        (b'{"expected_count": true}', 2),
        (b'{"expected_count": 1e300}', 40_000_001),
        (b'{"expected_count": "inf"}', 40_000_001),
        (b'{"expected_count": 18446744073709551615}', 40_000_001),
        # The last one counts for the parser of the services, which refuse it.
        (b'{"expected_count": 1, "expected_count": 200}', 9),
    ],
)
def test_e9_bodies_that_nobody_would_send_have_a_cost_too(body, cost):
    assert cost_of(body, "expected_count") == cost


async def test_e9_a_bulk_costs_by_its_operations_and_goes_on_as_it_came(api, user, tasks):
    body = orjson.dumps(bulk(60, note="ü" * 40_000))
    answer = await api.post(BULK, content=body, headers={**user.headers, "content-type": "application/json"})
    assert (answer.status_code, answer.headers["x-ratelimit-cost"]) == (200, "4")
    assert tasks.last.body == body


async def test_e9_every_answer_tells_its_cost(start, auth, tasks):
    user = auth.user()
    async with start(rate_limit_per_minute=100) as gateway, gateway.client(headers=user.headers) as api:
        answers = [
            await api.post(BULK, json=bulk(200)),
            await api.post(BULK, json=bulk(26, dry_run=True)),
            await api.post(BY_FILTER, json={"filter": "status = todo", "patch": {}, "expected_count": 1000}),
            await api.post(BULK, json={}),
            await api.get(BULK),
            await api.get(PLAIN),
            await api.post(PLAIN, json=bulk(200)),
            await api.post(BULK, content=bulk_stream(30), headers={"content-type": "application/json"}),
        ]
        assert [answer.headers["x-ratelimit-cost"] for answer in answers] == ["9", "3", "41", "1", "1", "1", "1", "3"]
        remaining = [answer.headers["x-ratelimit-remaining"] for answer in answers]
        assert remaining == ["91", "88", "47", "46", "45", "44", "43", "40"]
        async with gateway.client() as nobody:
            anonymous = await nobody.post(BULK, json=bulk(200))
        assert (anonymous.status_code, anonymous.headers["x-ratelimit-cost"]) == (401, "1")
    assert len(tasks.requests) == 8


async def bulk_stream(count):
    """A body without a declared length."""
    yield orjson.dumps(bulk(count))


async def test_e9_all_of_it_is_taken_or_nothing(start, auth, tasks, is_refused):
    user = auth.user()
    async with start(rate_limit_per_minute=10) as gateway, gateway.client(headers=user.headers) as api:
        assert (await api.get(PLAIN)).headers["x-ratelimit-remaining"] == "9"
        assert (await api.post(BULK, json=bulk(100))).headers["x-ratelimit-remaining"] == "4"
        for _ in range(3):
            refused = await api.post(BULK, json=bulk(101))
            is_refused(refused, 429, "RATE_LIMITED")
            assert refused.headers["x-ratelimit-cost"] == "6"
            assert refused.headers["x-ratelimit-remaining"] == "4"
            assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await api.post(BULK, json=bulk(75))).headers["x-ratelimit-remaining"] == "0"
        is_refused(await api.post(BULK, json=bulk(1)), 429, "RATE_LIMITED")
    assert len(tasks.requests) == 3


async def test_e9_many_at_once_share_what_there_is_exactly(start, auth, tasks):
    user = auth.user()
    async with start(rate_limit_per_minute=20) as gateway, gateway.client(headers=user.headers) as api:
        answers = await asyncio.gather(*(api.post(BULK, json=bulk(50)) for _ in range(20)))
        assert Counter(answer.status_code for answer in answers) == {200: 6, 429: 14}
        assert (await api.get(PLAIN)).headers["x-ratelimit-remaining"] == "1"
    assert len(tasks.requests) == 7


@pytest.mark.parametrize("things", [226, 10_000])
async def test_e9_more_than_a_minute_costs_the_whole_minute_before_anything_runs(
    start, auth, tasks, is_refused, things
):
    user, other = auth.user(), auth.user()
    body = {"filter": "status = todo", "patch": {}, "expected_count": things}
    async with start(rate_limit_per_minute=10) as gateway, gateway.client(headers=user.headers) as api:
        answer = await api.post(BY_FILTER, json=body)
        assert answer.status_code == 200
        assert (answer.headers["x-ratelimit-cost"], answer.headers["x-ratelimit-remaining"]) == ("10", "0")
        is_refused(await api.get(PLAIN), 429, "RATE_LIMITED")
        # With one of the limit taken there is no whole minute left.
        assert (await api.get(PLAIN, headers=other.headers)).headers["x-ratelimit-remaining"] == "9"
        refused = await api.post(BY_FILTER, json=body, headers=other.headers)
        is_refused(refused, 429, "RATE_LIMITED")
        assert (refused.headers["x-ratelimit-cost"], refused.headers["x-ratelimit-remaining"]) == ("10", "9")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert len(tasks.requests) == 2


def test_e9_no_more_is_let_through_than_the_operations_take():
    bodies = json.loads(DOCUMENT.read_text())["components"]["schemas"]
    assert bodies["BulkChange"]["properties"]["operations"]["maxItems"] == MOST_THINGS
    assert bodies["BulkByFilter"]["properties"]["expected_count"]["maximum"] == MOST_THINGS


@pytest.mark.parametrize(
    ("path", "body"), [(BULK, {"operations": [0] * 10_001}), (BY_FILTER, {"expected_count": 10**18})]
)
async def test_e9_more_than_any_request_may_ask_for_422(start, auth, tasks, path, body):
    user = auth.user()
    async with start(rate_limit_per_minute=10) as gateway, gateway.client(headers=user.headers) as api:
        answer = await api.post(path, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "COST_ABOVE_LIMIT")
        assert "at most 10,000 operations" in answer.json()["message"]
        assert answer.json()["data"] == {"cost": 402 if path == BULK else 40_000_001, "limit": 401}
        # A refusal is a request like any other.
        assert (answer.headers["x-ratelimit-cost"], answer.headers["x-ratelimit-remaining"]) == ("1", "9")
    assert tasks.requests == []


async def test_e9_body_that_is_too_large_413_and_counts(start, auth, tasks, is_refused):
    user = auth.user()
    async with start(rate_limit_per_minute=10) as gateway, gateway.client(headers=user.headers) as api:
        answer = await api.post(BULK, content=b"x" * 2**21, headers={"content-type": "application/json"})
        is_refused(answer, 413, "PAYLOAD_TOO_LARGE")
        assert (answer.headers["x-ratelimit-cost"], answer.headers["x-ratelimit-remaining"]) == ("1", "9")
    assert tasks.requests == []


async def test_e9_nothing_is_read_of_who_has_no_place_left(start, auth, connect, tasks):
    user = auth.user()
    async with start(rate_limit_per_minute=2) as gateway, gateway.client(headers=user.headers) as api:
        assert (await api.post(BULK, json=bulk(1))).status_code == 200
        async with connect(gateway.port) as connection:
            head = f"POST {BULK} HTTP/1.1\r\nhost: localhost\r\nauthorization: {user.headers['authorization']}\r\n"
            await connection.send(f"{head}content-type: application/json\r\ncontent-length: 900000\r\n\r\n".encode())
            answer = await asyncio.wait_for(connection.answer(), 4)
            assert (answer.status, answer.code, answer.headers["x-ratelimit-cost"]) == (429, "RATE_LIMITED", "1")
    assert len(tasks.requests) == 1


async def test_e9_without_redis_the_cost_is_counted_here(start, auth, own_valkey):
    user = auth.user()
    limits = {"redis_url": own_valkey.url, "rate_limit_per_minute": 20, "workers": 2}
    async with start(**limits) as gateway, gateway.client(headers=user.headers) as api:
        assert (await api.post(BULK, json=bulk(100))).headers["x-ratelimit-remaining"] == "15"
        own_valkey.kill()
        answers = [await api.post(BULK, json=bulk(size)) for size in (100, 50, 50, 25)]
        # What Redis has allowed counts: 5 of the 10 that are this process's share.
        assert [answer.status_code for answer in answers] == [200, 429, 429, 429]
        own_valkey.start()

        async def back():
            answer = await api.get(PLAIN)
            return answer.headers["ratelimit-policy"] == '"user";q=20;w=60'

        await eventually(back)


def model(arrivals, limit, window):
    """The rule itself: all of a request, or nothing, where what was allowed in the window before leaves room."""
    allowed = []
    for arrival, cost in arrivals:
        if sum(taken for at, taken in allowed if arrival - window < at) + cost <= limit:
            allowed.append((arrival, cost))
    return allowed


@pytest.mark.parametrize("seed", range(20))
def test_r23_local_log_decides_by_cost_as_the_model_does(seed):
    chance = random.Random(seed)
    limit, window = chance.choice([(5, 2.0), (40, 10.0), (100, 60.0)])
    arrivals, now = [], 0.0
    for _ in range(1500):
        now += chance.choice([0.0, chance.expovariate(limit / window), chance.expovariate(limit / window / 8)])
        arrivals.append((now, chance.choice([1, 1, 2, chance.randint(1, limit)])))
    log, one = LocalLog(window), f"user:{seed}"
    decisions = [(at, cost, log.decide(quota(limit, cost, one), now=at)) for at, cost in arrivals]
    assert [(at, cost) for at, cost, decision in decisions if decision.allowed] == model(arrivals, limit, window)
    assert all(0 <= decision.remaining < limit for _, _, decision in decisions)


@pytest.mark.parametrize("seed", range(10))
def test_r23_who_waits_as_long_as_is_said_is_let_through_and_not_before(seed):
    chance = random.Random(seed)
    log, now, waited = LocalLog(60.0), 0.0, 0
    for _ in range(300):
        now += chance.uniform(0, 3)
        asked = quota(100, chance.randint(1, 100), "user:a")
        decision = log.decide(asked, now=now)
        if not decision.allowed:
            waited += 1
            assert not log.decide(asked, now=now + decision.wait - 0.001).allowed
            now += decision.wait + 0.001
            assert log.decide(asked, now=now).allowed
    assert waited > 30


def test_r23_what_costs_more_than_a_share_is_refused_even_by_an_empty_log():
    decision = LocalLog(60.0).decide(quota(34, 41), now=5.0)
    assert (decision.allowed, decision.remaining, decision.reset, decision.wait) == (False, 34, 60.0, 60.0)


def test_r23_looking_takes_nothing_and_leaves_nothing():
    log = LocalLog(60.0)
    assert [log.decide(quota(1, 0, "user:a"), now=1.0).allowed for _ in range(3)] == [True] * 3
    assert log.decide(quota(1, 1, "user:a"), now=2.0).allowed
    assert not log.decide(quota(1, 0, "user:a"), now=3.0).allowed
    for number in range(10):
        log.decide(quota(1, 0, f"user:{number}"), now=100.0)
    assert len(log) <= 2


async def test_r23_no_window_holds_more_than_the_limit_whatever_the_costs(valkey_url):
    """Two limiters, which ask for random costs at random times for one user: what is in Redis tells what was let in."""
    window, limit = 0.4, 20
    chance, key = random.Random(7), f"user:{uuid7()}"
    seen, costs, refused = Counter(), [], 0

    async def ask(limiter, server):
        nonlocal refused
        end = asyncio.get_running_loop().time() + 1.5
        while asyncio.get_running_loop().time() < end:
            decision = await limiter.decide(quota(limit, chance.choice([1, 1, 3, 9, 20]), key))
            costs.append(decision.cost if decision.allowed else 0)
            refused += not decision.allowed
            counts = Counter(int(entry) for entry in await server.lrange(f"taskloom:limit:{key}", 0, -1))
            for instant, count in counts.items():
                seen[instant] = max(seen[instant], count)
            await asyncio.sleep(chance.choice([0, 0.001, 0.03]))

    async with redis.Redis.from_url(valkey_url) as server:
        limiters = [RateLimiter(server, workers=2, window_seconds=window, patience_seconds=2) for _ in range(2)]
        await asyncio.gather(*(ask(limiter, server) for limiter in limiters))
    allowed = sorted(seen.elements())
    assert refused > 0
    assert len(allowed) == sum(costs) > 2 * limit
    assert all(later - earlier >= window * 1e6 for earlier, later in zip(allowed, allowed[limit:], strict=False))


async def test_r23_redis_says_how_long_what_is_refused_has_to_wait(valkey_url):
    window = 0.6
    async with redis.Redis.from_url(valkey_url) as server:
        limiter = RateLimiter(server, workers=1, window_seconds=window, patience_seconds=2)
        key = f"user:{uuid7()}"
        assert (await limiter.decide(quota(10, 4, key))).remaining == 6
        await asyncio.sleep(0.2)
        assert (await limiter.decide(quota(10, 4, key))).remaining == 2
        few, many = await limiter.decide(quota(10, 6, key)), await limiter.decide(quota(10, 7, key))
        assert (few.allowed, many.allowed, few.remaining) == (False, False, 2)
        assert few.wait == pytest.approx(few.reset, abs=0.001)
        assert many.wait - few.wait == pytest.approx(0.2, abs=0.1)
        await asyncio.sleep(few.wait + 0.005)
        assert (await limiter.decide(quota(10, 6, key))).allowed
        assert not (await limiter.decide(quota(10, 0, key))).allowed


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "UTC", "Etc/GMT+1", "America/Argentina/Buenos_Aires", "Mars/Olympus"]
)
async def test_d1_the_callers_zone_and_cursor_go_on(api, user, tasks, zone):
    await api.get(PLAIN, headers={**user.headers, "x-timezone": zone, "x-min-cursor": "abc"})
    assert (tasks.last.all("x-timezone"), tasks.last.all("x-min-cursor")) == ([zone], ["abc"])


@pytest.mark.parametrize("zone", ["", "Europe/Berlin; DROP", "a" * 65, "..", "Zürich", "Europe/Berlin,UTC"])
async def test_d1_what_can_be_no_name_of_a_zone_is_told_as_any_that_is_not_known(api, user, tasks, is_refused, zone):
    headers = [*user.headers.items(), ("x-timezone", zone.encode("latin-1"))]
    refusal = is_refused(await api.get(PLAIN, headers=headers), 422, "UNKNOWN_TIMEZONE")
    assert refusal["errors"][0]["field"] == "X-Timezone"
    assert tasks.requests == []


async def test_d1_two_zones_400(api, user, tasks, is_refused):
    headers = [*user.headers.items(), ("x-timezone", "UTC"), ("x-timezone", "Europe/Berlin")]
    is_refused(await api.get(PLAIN, headers=headers), 400, "MALFORMED_REQUEST")
    assert tasks.requests == []
