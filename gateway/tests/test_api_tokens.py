"""API tokens (R14): opaque to the gateway, which asks what they may do, and asks again when that may have changed."""

import asyncio
import time
from uuid import uuid5

import orjson
import pytest
import websockets
from chassis.clock import rfc3339
from chassis.ids import uuid7
from chassis.secret_tokens import API_TOKEN, token_digest
from chassis.tokens import IdentityVerifier
from testkit.waiting import eventually

PATH = "/api/v1/tasks"
SPACE = uuid7()
SCOPES = ["admin:*", "comments:write", "tasks:delete", "tasks:read", "tasks:write", "webhooks:manage"]


@pytest.fixture
def vouched(tasks, test_gateway):
    """Reads whom the gateway has named to the service last."""
    verifier = IdentityVerifier(test_gateway.verify_key)

    def vouched():
        (identity,) = tasks.last.all("x-taskloom-identity")
        return verifier.verify(identity).principal

    return vouched


async def refusal(api, token, *, seconds=2.0):
    async def refused():
        answer = await api.get(PATH, headers=token.headers)
        return answer if answer.status_code != 200 else None

    return await eventually(refused, seconds=seconds)


async def the_mark_is_known(auth):
    """Wait until the gateway has asked for marks, and has had the answer: it asks for the next ones after that."""
    asked = auth.asked

    async def asked_again():
        return auth.asked > asked + 1

    await eventually(asked_again, seconds=5)


async def test_the_service_learns_whose_the_token_is_and_what_bounds_it(api, auth, vouched):
    workspace, projects = uuid5(SPACE, "w"), {uuid5(SPACE, "a"), uuid5(SPACE, "b")}
    token = auth.api_token(
        scopes=["tasks:write", "tasks:read"],
        roles=["user", "admin"],
        workspace_id=str(workspace),
        project_ids=sorted(str(project) for project in projects),
        read_only=True,
        expires_at="2026-12-31T12:00:00.500Z",
    )
    assert (await api.get(PATH, headers=token.headers)).status_code == 200
    caller = vouched()
    assert (caller.user_id, caller.session_id, caller.via, caller.kind) == (token.user_id, token.id, "token", "user")
    assert (caller.scopes, caller.roles) == ({"tasks:read", "tasks:write"}, {"user", "admin"})
    assert (caller.workspace_id, caller.project_ids, caller.read_only) == (workspace, projects, True)
    assert rfc3339(caller.expires_at) == "2026-12-31T12:00:00.000000Z"


async def test_a_token_of_a_service_account_is_a_bots(api, auth, vouched):
    token = auth.api_token(kind="service_account")
    assert (await api.get(PATH, headers=token.headers)).status_code == 200
    assert (vouched().via, vouched().workspace_id, vouched().project_ids) == ("bot", None, None)


async def test_the_auth_service_is_asked_once_and_never_for_the_token_itself(api, auth):
    token = auth.api_token()
    answers = await asyncio.gather(*(api.get(PATH, headers=token.headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert auth.questions == [{"digest": token_digest(token.secret).hex(), "address": "127.0.0.1"}]
    assert token.secret not in orjson.dumps([request.headers for request in auth.requests]).decode()


async def test_401_for_unknown_and_ended_tokens_asked_once_in_five_seconds(api, auth, tasks, is_refused):
    for secret in (API_TOKEN.new(), auth.api_token(active=False).secret):
        before = len(auth.questions)
        for _ in range(3):
            answer = await api.get(PATH, headers={"authorization": f"Bearer {secret}"})
            is_refused(answer, 401, "INVALID_TOKEN")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert len(auth.questions) - before == 1
    assert tasks.requests == []


async def test_r23_who_invents_tokens_makes_the_auth_service_do_no_more_than_the_limit(start, auth, is_refused):
    known = auth.api_token()
    limits = {"anonymous_limit_per_minute": 5, "trusted_proxies": ("127.0.0.1/32",)}
    from_one = {"x-forwarded-for": "198.51.100.23"}
    async with start(**limits) as gateway, gateway.client(headers=from_one) as api:
        assert (await api.get(PATH, headers=known.headers)).status_code == 200
        asked = len(auth.questions)
        # Of a token that has ended every question is the same one, however often its owner's script tries it.
        ended = {"authorization": f"Bearer {API_TOKEN.new()}"}
        is_refused(await api.get(PATH, headers=ended), 401, "INVALID_TOKEN")
        for _ in range(4):
            answer = await api.get(PATH, headers={"authorization": f"Bearer {API_TOKEN.new()}"})
            is_refused(answer, 401, "INVALID_TOKEN")
        for _ in range(20):
            answer = await api.get(PATH, headers={"authorization": f"Bearer {API_TOKEN.new()}"})
            is_refused(answer, 429, "RATE_LIMITED")
            assert int(answer.headers["retry-after"]) >= 1
        assert len(auth.questions) == asked + 5
        assert (await api.get(PATH, headers=known.headers)).status_code == 200
        assert (await api.get(PATH, headers=auth.user().headers)).status_code == 200


async def test_401_without_a_question_for_what_is_no_token(api, auth, is_refused):
    good = API_TOKEN.new()
    for secret in (good[:-1], good + "0", good[:-1] + ("0" if good[-1] != "0" else "1"), "tlm_pat_", good.swapcase()):
        answer = await api.get(PATH, headers={"authorization": f"Bearer {secret}"})
        is_refused(answer, 401, "INVALID_TOKEN")
    assert auth.questions == []


async def test_401_after_its_end_even_while_the_answer_is_remembered(api, auth, is_refused):
    token = auth.api_token(expires_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2)))
    assert (await api.get(PATH, headers=token.headers)).status_code == 200
    is_refused(await refusal(api, token, seconds=4), 401, "INVALID_TOKEN")
    assert len(auth.questions) == 1


async def test_r6_a_revoked_token_ends_within_two_seconds(api, auth, is_refused):
    token, other = auth.api_token(), auth.api_token()
    for one in (token, other):
        assert (await api.get(PATH, headers=one.headers)).status_code == 200
    token.found["active"] = False
    auth.revoke_session(token.id)
    is_refused(await refusal(api, token), 401, "INVALID_TOKEN")
    assert (await api.get(PATH, headers=other.headers)).status_code == 200


async def test_r6_what_its_user_may_do_is_asked_anew_after_a_mark_of_the_user(api, auth, vouched, is_refused):
    token = auth.api_token(roles=["admin", "user"], scopes=["admin:*", "tasks:read"])
    assert (await api.get(PATH, headers=token.headers)).status_code == 200
    token.found.update(roles=["user"])
    auth.revoke_user(token.user_id, before=time.time())

    async def is_plain():
        assert (await api.get(PATH, headers=token.headers)).status_code == 200
        return vouched().roles == {"user"}

    await eventually(is_plain, seconds=2)
    assert vouched().scopes == {"admin:*", "tasks:read"}
    token.found["active"] = False
    auth.revoke_user(token.user_id, before=time.time())
    is_refused(await refusal(api, token), 401, "INVALID_TOKEN")


async def test_r6_an_answer_that_a_mark_has_overtaken_is_not_believed(api, auth, gateway, is_refused):
    """The owner is disabled between the auth service's look and its answer."""
    token = auth.api_token()

    async def disable():
        if len(auth.questions) > 1:
            return
        token.found["active"] = False
        auth.revoke_user(token.user_id, before=time.time())
        await the_mark_is_known(auth)

    auth.before_answer = disable
    is_refused(await api.get(PATH, headers=token.headers), 401, "INVALID_TOKEN")
    assert len(auth.questions) == 2


async def test_503_while_it_can_not_be_told_and_200_for_what_was_just_asked(api, auth, is_refused):
    known, unknown = auth.api_token(), auth.api_token()
    assert (await api.get(PATH, headers=known.headers)).status_code == 200
    auth.marks_broken = True
    assert (await api.get(PATH, headers=known.headers)).status_code == 200
    answer = await api.get(PATH, headers=unknown.headers)
    is_refused(answer, 503, "AUTH_STATE_UNAVAILABLE")
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    ("networks", "status"),
    [
        (["127.0.0.1/32"], 200),
        (["10.0.0.0/8", "127.0.0.0/8"], 200),
        (["10.0.0.0/8"], 403),
        (["::1/128"], 403),
        ([], 403),
    ],
    ids=["itself", "one of two", "another", "of version 6", "none"],
)
async def test_the_addresses_that_a_token_may_be_used_from(api, auth, tasks, networks, status):
    token = auth.api_token(ip_allowlist=networks)
    answer = await api.get(PATH, headers=token.headers)
    assert answer.status_code == status
    if status == 403:
        assert [error["code"] for error in answer.json()["errors"]] == ["ADDRESS_NOT_ALLOWED"]
        assert tasks.requests == []


async def test_the_address_counts_on_every_request_not_on_the_first(start, auth, is_refused):
    async with start(trusted_proxies=("127.0.0.0/8",)) as gateway, gateway.client() as api:
        token = auth.api_token(ip_allowlist=["203.0.113.0/24"])
        for address, status in (("203.0.113.7", 200), ("198.51.100.7", 403), ("203.0.113.8", 200)):
            answer = await api.get(PATH, headers={**token.headers, "x-forwarded-for": address})
            assert answer.status_code == status, address
        assert [question["address"] for question in auth.questions] == ["203.0.113.7"]


async def test_all_tokens_of_a_user_have_one_limit(start, auth):
    async with start(rate_limit_per_minute=5) as gateway, gateway.client() as api:
        user = auth.user()
        tokens = [user, *(auth.api_token(user_id=str(user.id)) for _ in range(2))]
        statuses = [(await api.get(PATH, headers=tokens[n % 3].headers)).status_code for n in range(7)]
        assert statuses == [200] * 5 + [429] * 2


@pytest.mark.parametrize("kind", ["token", "user"])
async def test_r6_a_mark_ends_the_open_sockets_of_a_token(gateway, auth, kind):
    token, other = auth.api_token(), auth.api_token()
    async with (
        websockets.connect(gateway.socket_url, additional_headers=token.headers) as socket,
        websockets.connect(gateway.socket_url, additional_headers=other.headers) as untouched,
    ):
        if kind == "token":
            auth.revoke_session(token.id)
        else:
            auth.revoke_user(token.user_id, before=time.time() - 3600)
        await asyncio.wait_for(socket.wait_closed(), 2)
        assert (socket.close_code, socket.close_reason) == (4401, "session ended")
        await untouched.send("b")
        assert await untouched.recv() == "b"


async def test_r53_a_ticket_stands_for_a_token_with_all_that_bounds_it(gateway, api, auth, services, test_gateway):
    projects = [str(uuid5(SPACE, "a"))]
    token = auth.api_token(project_ids=projects, ip_allowlist=["127.0.0.0/8"], read_only=True)
    ticket = (await api.post("/api/v1/ws-tickets", headers=token.headers)).json()["data"]["ticket"]
    async with websockets.connect(f"{gateway.socket_url}?ticket={ticket}"):
        headers = dict(services.notifications.sockets[-1]["headers"])
        principal = IdentityVerifier(test_gateway.verify_key).verify(headers[b"x-taskloom-identity"].decode()).principal
    assert (principal.via, principal.session_id, principal.read_only) == ("token", token.id, True)
    assert [str(project) for project in principal.project_ids] == projects


async def test_r6_a_ticket_of_a_token_is_worth_nothing_after_a_mark(gateway, api, auth):
    token = auth.api_token()
    ticket = (await api.post("/api/v1/ws-tickets", headers=token.headers)).json()["data"]["ticket"]
    auth.revoke_user(token.user_id, before=time.time() - 3600)
    await the_mark_is_known(auth)
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(f"{gateway.socket_url}?ticket={ticket}"):
            pass
    assert refused.value.response.status_code == 401


async def test_a_ticket_needs_the_scope_that_the_socket_needs(api, auth, is_refused):
    token = auth.api_token(scopes=["tasks:write"])
    is_refused(await api.post("/api/v1/ws-tickets", headers=token.headers), 403, "INSUFFICIENT_SCOPE")


async def test_the_auth_service_is_not_asked_about_ever_more_guesses(start, auth, is_refused):
    elsewhere = {"x-forwarded-for": "198.51.100.77"}
    async with (
        start(anonymous_limit_per_minute=3, trusted_proxies=("127.0.0.0/8",)) as gateway,
        gateway.client() as api,
    ):
        good = auth.api_token()
        for number in range(12):
            headers = {"authorization": f"Bearer {API_TOKEN.new()}", **elsewhere}
            answer = await api.get(PATH, headers=headers)
            assert answer.status_code == (401 if number < 3 else 429), number
        assert int(answer.headers["retry-after"]) >= 1
        assert len(auth.questions) == 3
        is_refused(await api.get(PATH, headers={**good.headers, **elsewhere}), 429, "RATE_LIMITED")
        assert len(auth.questions) == 3


async def test_a_known_token_works_beside_the_guesses_of_its_address(start, auth):
    elsewhere = {"x-forwarded-for": "198.51.100.78"}
    async with (
        start(anonymous_limit_per_minute=3, trusted_proxies=("127.0.0.0/8",)) as gateway,
        gateway.client() as api,
    ):
        good = {**auth.api_token().headers, **elsewhere}
        assert (await api.get(PATH, headers=good)).status_code == 200
        for _ in range(5):
            await api.get(PATH, headers={"authorization": f"Bearer {API_TOKEN.new()}", **elsewhere})
        assert (await api.get(PATH, headers=good)).status_code == 200


WRONG_ANSWERS = {
    "without an end": {"expires_at": None},
    "without a user": {"user_id": None},
    "of an unknown kind": {"kind": "robot"},
    "with a network that is none": {"ip_allowlist": ["127.0.0.1/8"]},
    "with a project that is none": {"project_ids": ["inbox"]},
    "neither yes nor no": {"active": "perhaps"},
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
async def test_503_for_an_answer_that_is_none(api, auth, is_refused, name):
    token = auth.api_token(**WRONG_ANSWERS[name])
    is_refused(await api.get(PATH, headers=token.headers), 503, "AUTH_STATE_UNAVAILABLE")
    token.found.update(
        expires_at="2099-01-01T00:00:00Z",
        user_id=str(uuid7()),
        kind="user",
        ip_allowlist=None,
        project_ids=None,
        active=True,
    )
    assert (await api.get(PATH, headers=token.headers)).status_code == 200


async def test_a_token_of_a_hundred_projects_is_vouched_for(api, auth, vouched):
    projects = [str(uuid5(SPACE, str(number))) for number in range(100)]
    token = auth.api_token(project_ids=projects, workspace_id=projects[0], scopes=SCOPES, roles=["user", "admin"])
    assert (await api.get(PATH, headers=token.headers)).status_code == 200
    assert len(vouched().project_ids) == 100


async def test_r6_sockets_of_tokens_end_when_marks_may_be_missed(start, auth):
    """A token lives for months, its mark for an hour: after a long silence nobody can tell."""
    async with start(revocations_max_age_seconds=1) as gateway:
        token, user = auth.api_token(), auth.user()
        async with (
            websockets.connect(gateway.socket_url, additional_headers=token.headers) as socket,
            websockets.connect(gateway.socket_url, additional_headers=user.headers) as of_session,
        ):
            auth.marks_broken = True
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 4401
            await of_session.send("b")
            assert await of_session.recv() == "b"
