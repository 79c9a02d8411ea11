"""Revocation (R6): marks work within two seconds, and not knowing is not the same as knowing of none."""

import asyncio
import time

import pytest
import websockets
from testkit.waiting import eventually

PATH = "/api/v1/tasks"


async def ends(api, user, *, seconds=2.0):
    """Wait for the first refusal and return it."""

    async def refusal():
        answer = await api.get(PATH, headers=user.headers)
        return answer if answer.status_code != 200 else None

    return await eventually(refusal, seconds=seconds)


async def test_r6_mark_ends_a_cached_token_within_two_seconds(api, auth, tasks, user, is_refused):
    other = auth.user(sub=str(user.id))
    for one in (user, other):
        assert (await api.get(PATH, headers=one.headers)).status_code == 200
    auth.revoke_session(user.session)
    answer = await ends(api, user)
    is_refused(answer, 401, "INVALID_TOKEN")
    assert answer.headers["www-authenticate"] == "Bearer"
    seen = len(tasks.requests)
    assert (await api.get(PATH, headers=user.headers)).status_code == 401
    assert len(tasks.requests) == seen
    assert (await api.get(PATH, headers=other.headers)).status_code == 200


async def test_r6_mark_of_a_user_ends_what_was_issued_before(api, auth, user, is_refused):
    now = int(time.time())
    older = auth.user(sub=str(user.id), iat=now - 100, nbf=now - 100)
    newer = auth.user(sub=str(user.id), iat=now - 10, nbf=now - 10)
    stranger = auth.user(iat=now - 100, nbf=now - 100)
    for one in (older, newer, stranger):
        assert (await api.get(PATH, headers=one.headers)).status_code == 200
    auth.revoke_user(user.id, before=now - 50)
    is_refused(await ends(api, older), 401, "INVALID_TOKEN")
    for one in (newer, stranger):
        assert (await api.get(PATH, headers=one.headers)).status_code == 200
    # A later mark that reaches less far back takes nothing away.
    auth.revoke_user(user.id, before=now - 90)
    auth.revoke_session(stranger.session)
    is_refused(await ends(api, stranger), 401, "INVALID_TOKEN")
    assert (await api.get(PATH, headers=older.headers)).status_code == 401
    assert (await api.get(PATH, headers=newer.headers)).status_code == 200


@pytest.mark.parametrize("kind", ["session", "user"])
async def test_r6_mark_ends_open_sockets_4401(gateway, auth, user, kind):
    now = int(time.time())
    user = auth.user(iat=now - 10, nbf=now - 10)
    other = auth.user()
    async with (
        websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket,
        websockets.connect(gateway.socket_url, additional_headers=other.headers) as untouched,
    ):
        await socket.send("a")
        assert await socket.recv() == "a"
        if kind == "session":
            auth.revoke_session(user.session)
        else:
            auth.revoke_user(user.id, before=now)
        await asyncio.wait_for(socket.wait_closed(), 2)
        assert (socket.close_code, socket.close_reason) == (4401, "session ended")
        await untouched.send("b")
        assert await untouched.recv() == "b"


async def test_r6_all_pages_of_marks_are_read(start, auth, is_refused):
    users = [auth.user() for _ in range(7)]
    for user in users:
        auth.revoke_session(user.session)
    auth.page = 3
    async with start() as gateway, gateway.client() as api:
        for user in users:
            is_refused(await api.get(PATH, headers=user.headers), 401, "INVALID_TOKEN")


@pytest.mark.parametrize("broken", [[], {"cursor": 1, "more": False, "sessions": [1], "users": []}])
async def test_r6_stale_state_is_503_and_recovers(start, auth, user, is_refused, broken):
    async with start(revocations_max_age_seconds=1) as gateway, gateway.client() as api:
        assert (await api.get(PATH, headers=user.headers)).status_code == 200
        auth.broken = broken
        answer = await ends(api, user, seconds=4)
        is_refused(answer, 503, "AUTH_STATE_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["ratelimit-policy"].startswith('"anonymous"')
        assert (await api.get("/docs")).status_code == 200
        auth.broken = None

        async def well():
            return (await api.get(PATH, headers=user.headers)).status_code == 200

        await eventually(well, seconds=4)


async def test_r6_gateway_that_never_learned_the_marks_is_503(start, auth, user, is_refused):
    auth.marks_broken = True
    async with start() as gateway, gateway.client() as api:
        is_refused(await api.get(PATH, headers=user.headers), 503, "AUTH_STATE_UNAVAILABLE")


@pytest.mark.parametrize("missing", ["keys", "marks"])
async def test_r64_not_ready_before_keys_and_marks_were_known_once(start, auth, missing):
    if missing == "keys":
        auth.keys = {"keys": []}
    else:
        auth.marks_broken = True
    async with start() as gateway, gateway.client() as api:
        refusal = await api.get("/readyz")
        body = refusal.json()
        assert (refusal.status_code, body["errors"][0]["code"]) == (503, "NOT_READY")
        assert (body["data"]["status"], body["data"]["checks"]["auth_state"]["ok"]) == ("unready", False)
        assert (await api.get("/livez")).status_code == 200
        auth.keys, auth.marks_broken = {"keys": [auth.issuer.jwk]}, False

        async def ready():
            return (await api.get("/readyz")).status_code == 200

        await eventually(ready, seconds=4)
        auth.marks_broken = True
        assert (await api.get("/readyz")).status_code == 200


async def test_r6_redis_that_comes_back_empty_revives_nothing(start, auth, user, own_valkey, is_refused):
    auth.revoke_session(user.session)
    async with start(redis_url=own_valkey.url) as gateway, gateway.client() as api:
        is_refused(await api.get(PATH, headers=user.headers), 401, "INVALID_TOKEN")
        own_valkey.kill()
        is_refused(await api.get(PATH, headers=user.headers), 401, "INVALID_TOKEN")
        own_valkey.command[own_valkey.command.index("--appendonly") + 1] = "no"
        own_valkey.start()
        for _ in range(3):
            is_refused(await api.get(PATH, headers=user.headers), 401, "INVALID_TOKEN")
