"""Who has written a moment ago reads what the primary has (R41): remembered where requests are counted."""

import pytest
import redis.asyncio as redis
from chassis.ids import uuid7
from gateway.rate_limit import Quota, RateLimiter
from testkit.waiting import eventually

PATH = "/api/v1/tasks"
FIELD = "x-taskloom-has-written"


@pytest.fixture
async def server(valkey_url):
    async with redis.Redis.from_url(valkey_url) as found:
        yield found


@pytest.fixture
def limiter(server):
    return RateLimiter(server, workers=1, patience_seconds=5)


def quota(remembered=0.0, *, of="", limit=100):
    return Quota(of or f"user:{uuid7()}", limit, "user", remembered=remembered)


def mark(counted):
    return f"taskloom:limit:{counted}:wrote"


def told(asked):
    return asked.all(FIELD)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_r41_the_service_is_told_of_reads_after_a_write_and_of_nobody_elses(start, auth, tasks, method):
    ada, ben = auth.user(), auth.user()
    async with start() as one, start() as other, one.client() as first, other.client() as second:
        for _ in range(2):
            await first.get(PATH, headers=ada.headers)
            assert told(tasks.last) == []
        await first.request(method, f"{PATH}/a", headers=ada.headers)
        # By any process, and whatever its user has the token from.
        for client, read in ((first, "GET"), (second, "GET"), (second, "HEAD")):
            await client.request(read, PATH, headers=auth.user(sub=str(ada.id)).headers)
            assert told(tasks.last) == ["1"]
        await second.get(PATH, headers=ben.headers)
        assert told(tasks.last) == []


async def test_r41_nobody_says_so_of_themselves(api, user, tasks):
    await api.get(PATH, headers={**user.headers, FIELD: "1"})
    assert told(tasks.last) == []


@pytest.mark.parametrize(
    ("path", "seconds"), [(PATH, 15), (f"{PATH}/bulk", 35), (f"{PATH}/a/attachments", 305)], ids=["one", "many", "file"]
)
async def test_r41_a_write_is_remembered_for_as_long_as_it_may_take_and_five_seconds(api, user, server, path, seconds):
    await api.post(path, json={}, headers=user.headers)
    left = await server.pttl(mark(f"user:{user.id}"))
    assert (seconds - 5) * 1000 < left <= seconds * 1000


async def test_r41_it_can_be_switched_off(start, auth, tasks):
    user = auth.user()
    async with start(read_your_writes_seconds=0) as gateway, gateway.client(headers=user.headers) as api:
        await api.post(PATH, json={})
        await api.get(PATH)
    assert told(tasks.last) == []


async def test_r41_what_was_refused_is_no_write(start, auth, server):
    user = auth.user()
    async with start(rate_limit_per_minute=1) as gateway, gateway.client(headers=user.headers) as api:
        assert (await api.get(PATH)).status_code == 200
        assert (await api.post(PATH, json={})).status_code == 429
    assert not await server.exists(mark(f"user:{user.id}"))


async def test_r41_without_redis_everybody_may_have_written(start, auth, tasks, own_valkey):
    user = auth.user()
    async with start(redis_url=own_valkey.url) as gateway, gateway.client(headers=user.headers) as api:
        await api.get(PATH)
        assert told(tasks.last) == []
        own_valkey.kill()
        await api.get(PATH)
        assert told(tasks.last) == ["1"]


async def test_r41_a_write_is_forgotten_after_its_time(limiter):
    counted = quota()
    assert (await limiter.decide(quota(0.3, of=counted.key))).has_written
    assert (await limiter.decide(counted)).has_written

    async def forgotten():
        return not (await limiter.decide(counted)).has_written

    await eventually(forgotten)


async def test_r41_a_shorter_write_does_not_shorten_what_is_remembered(limiter, server):
    counted = quota(300.0)
    for seconds in (300.0, 1.0):
        await limiter.decide(quota(seconds, of=counted.key))
    assert await server.pttl(mark(counted.key)) > 200_000
