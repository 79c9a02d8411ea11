"""Who has written a moment ago reads what the primary has (R41): remembered where requests are counted."""

import pytest
import redis.asyncio as redis
from chassis.ids import uuid7
from gateway.own_writes import MOST_KEPT, UntoldWrites
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


@pytest.mark.parametrize("path", [f"{PATH}/search", "/api/v1/sync/snapshot", "/api/v1/authz/check"])
async def test_r41_what_is_posted_only_to_read_is_told_and_is_no_write(api, user, tasks, path):
    await api.post(path, json={}, headers=user.headers)
    assert told(tasks.last) == []
    await api.post(PATH, json={}, headers=user.headers)
    await api.post(path, json={}, headers=user.headers)
    assert told(tasks.last) == ["1"]


async def test_r41_only_what_changes_services_with_replicas_counts_and_only_they_are_told(api, user, services):
    await api.post("/api/v1/notifications/read-all", json={}, headers=user.headers)
    await api.post("/api/v1/ws-tickets", headers=user.headers)
    await api.get(PATH, headers=user.headers)
    assert told(services.tasks.last) == []
    await api.delete("/api/v1/attachments/a", headers=user.headers)
    for path, service, expected in (
        (PATH, services.tasks, ["1"]),
        ("/api/v1/attachments/b", services.attachments, ["1"]),
        ("/api/v1/notifications", services.notifications, []),
    ):
        await api.get(path, headers=user.headers)
        assert told(service.last) == expected


@pytest.mark.parametrize(
    ("path", "body", "seconds"),
    [
        # What is read before a service is asked has 5 seconds, and one for each KiB.
        (PATH, b"", 10 + 7),
        (PATH, b"{}", 5 + 10 + 7),
        (PATH, b" " * 20 * 1024, 25 + 10 + 7),
        (f"{PATH}/bulk", b"{}", 5 + 30 + 7),
        (f"{PATH}/a/attachments", b" " * 100 * 1024, 300 + 7),
    ],
    ids=["nothing", "little", "much", "many", "file"],
)
async def test_r41_a_write_is_remembered_for_as_long_as_it_may_take_and_seven_seconds(
    api, user, server, path, body, seconds
):
    await api.post(path, content=body, headers=user.headers)
    left = await server.pttl(mark(f"user:{user.id}"))
    assert (seconds - 4) * 1000 < left <= (seconds + 1) * 1000


async def test_r41_it_can_be_switched_off(start, auth, tasks, own_valkey):
    user = auth.user()
    options = {"redis_url": own_valkey.url, "read_your_writes_seconds": 0}
    async with start(**options) as gateway, gateway.client(headers=user.headers) as api:
        await api.post(PATH, json={})
        await api.get(PATH)
        assert told(tasks.last) == []
        own_valkey.kill()
        await api.get(PATH)
        assert told(tasks.last) == []


async def test_r41_what_was_refused_is_no_write(start, auth, server):
    user = auth.user()
    many = {"operations": [{}] * 60}
    async with start(rate_limit_per_minute=2) as gateway, gateway.client(headers=user.headers) as api:
        assert (await api.get(PATH)).status_code == 200
        assert (await api.post(f"{PATH}/bulk", json=many)).status_code == 429
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


async def test_r41_what_was_written_without_redis_is_told_to_the_others_when_it_is_back(start, auth, tasks, own_valkey):
    ada, ben = auth.user(), auth.user()
    async with (
        start(redis_url=own_valkey.url) as one,
        start(redis_url=own_valkey.url) as other,
        one.client() as first,
        other.client() as second,
    ):
        for client in (first, second):
            await client.get(PATH, headers=ben.headers)
        own_valkey.kill()
        await first.post(PATH, json={}, headers=ada.headers)
        own_valkey.start()

        async def is_back():
            answer = await first.get(PATH, headers=ben.headers)
            return answer.headers["ratelimit-policy"].startswith('"user";')

        await eventually(is_back)
        await second.get(PATH, headers=ada.headers)
        assert told(tasks.last) == ["1"]
        await second.get(PATH, headers=ben.headers)
        assert told(tasks.last) == []


def test_r41_of_what_is_untold_the_latest_end_counts_and_what_has_passed_is_forgotten():
    writes = UntoldWrites()
    for key, until in (("a", 10.0), ("b", 20.0), ("a", 30.0), ("b", 12.0)):
        writes.note(key, until=until)
    assert writes.rest(now=5.0, most=9) == [("a", 25.0), ("b", 15.0)]
    assert writes.rest(now=5.0, most=1) == [("a", 25.0)]
    writes.forget(["a"])
    assert writes.rest(now=5.0, most=9) == [("b", 15.0)]
    assert (writes.rest(now=20.0, most=9), len(writes)) == ([], 0)


def test_r41_of_too_many_untold_the_oldest_is_forgotten():
    writes = UntoldWrites()
    for number in range(MOST_KEPT + 1):
        writes.note(str(number), until=1e9)
    left = [key for key, _ in writes.rest(now=0.0, most=MOST_KEPT + 1)]
    assert (len(left), left[0], left[-1]) == (MOST_KEPT, "1", str(MOST_KEPT))


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
