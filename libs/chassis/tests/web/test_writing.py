"""The write path: what a client was told is true, and a request that is sent again has no second effect (R32)."""

import asyncio
from uuid import UUID

import httpx2
import pytest
from testkit.proxy import proxied

NOTES = "/api/v1/notes"
COUNT = "SELECT count(*) FROM notes.note"
KEY = {"idempotency-key": "key-1"}


def code_of(answer):
    return answer.json()["errors"][0]["code"]


async def test_the_row_is_there_when_the_answer_begins(app, caller, rows):
    seen = []

    async def watched(scope, receive, send):
        async def watching(message):
            if message["type"] == "http.response.start":
                seen.append((message["status"], await rows(COUNT)))
            await send(message)

        await app(scope, receive, watching)

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(watched), base_url="http://notes") as api:
        await api.post(NOTES, json={"title": "a"}, headers={**caller, **KEY})
    assert seen == [(201, [(1,)])]


async def test_create_422_when_the_commit_fails(api, rows):
    answer = await api.post(NOTES, json={"title": "orphan", "parent_id": str(UUID(int=9))}, headers=KEY)
    assert (answer.status_code, code_of(answer)) == (422, "REFERENCE_NOT_FOUND")
    assert answer.json()["success"] is False
    assert "location" not in answer.headers
    assert await rows(COUNT) == [(0,)]
    assert await rows("SELECT * FROM notes.idempotency_key") == []


async def test_create_409_when_a_unique_value_is_taken(api, rows):
    assert (await api.post(NOTES, json={"title": "a"})).status_code == 201
    again = await api.post(NOTES, json={"title": "a"})
    assert (again.status_code, code_of(again)) == (409, "ALREADY_EXISTS")
    assert "note" not in again.json()["message"]
    assert await rows(COUNT) == [(1,)]


async def test_create_422_null_character_before_the_database_sees_it(api):
    answer = await api.post(NOTES, json={"title": "a\0b"})
    assert (answer.status_code, code_of(answer)) == (422, "NULL_CHARACTER")
    assert answer.json()["errors"][0]["field"] == "title"


async def test_an_effect_that_must_survive_its_refusal_survives_it(api, rows):
    answer = await api.post("/api/v1/attempts", json={"title": "counted"})
    assert (answer.status_code, code_of(answer)) == (409, "COUNTED")
    assert await rows("SELECT title FROM notes.note") == [("counted",)]


async def test_any_other_refusal_leaves_nothing(api, rows):
    answer = await api.post(NOTES, json={"title": "refused"})
    assert (answer.status_code, code_of(answer)) == (409, "NOTE_EXISTS")
    assert await rows(COUNT) == [(0,)]


async def test_r32_the_first_answer_is_replayed(api, rows):
    first = await api.post(NOTES, json={"title": "a"}, headers=KEY)
    again = await api.post(NOTES, json={"title": "a"}, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    for name in ("location", "etag", "content-type", "cache-control", "vary"):
        assert again.headers[name] == first.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await rows(COUNT) == [(1,)]


async def test_r32_an_answer_without_a_body_is_replayed_as_it_was(api, rows):
    first = await api.post("/api/v1/quiet-notes", json={"title": "a"}, headers=KEY)
    again = await api.post("/api/v1/quiet-notes", json={"title": "a"}, headers=KEY)
    for answer in (first, again):
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["preference-applied"] == "return=minimal"
    assert again.headers["idempotency-replayed"] == "true"
    assert await rows(COUNT) == [(1,)]


async def test_r32_an_answer_of_a_workspace_is_replayed_only_to_who_sees_it(app, api, rows):
    """A service that does not say who sees a workspace replays nothing of one."""
    seen = []

    async def sees(_session, _caller, workspace_ids, shown):
        seen.append((workspace_ids, [one["title"] for one in shown]))
        return app.state.member

    async def ask():
        answer = await api.post("/api/v1/shared-notes", json={"title": "a"}, headers={"idempotency-key": "k"})
        return answer.status_code, answer.headers.get("idempotency-replayed")

    assert await ask() == (201, None)
    assert await ask() == (404, None)
    app.state.sees_workspaces, app.state.member = sees, False
    assert await ask() == (404, None)
    app.state.member = True
    assert await ask() == (201, "true")
    assert seen == [({UUID("01990000-0000-7000-8000-000000000001")}, ["a"])] * 2
    assert len(await rows("SELECT id FROM notes.note")) == 1


@pytest.mark.parametrize("bounds", [{}, {"workspace_id": UUID(int=1)}, {"project_ids": [UUID(int=2)]}, {"bot": True}])
async def test_r32_a_key_is_the_api_tokens_own(api, rows, test_gateway, bounds):
    """Tokens of one user see different things, and so does the user."""
    user, tokens = UUID(int=5), (UUID(int=6), UUID(int=7))
    callers = [test_gateway.headers(user), test_gateway.headers(user, session_id=UUID(int=8))]
    callers += [test_gateway.token_headers(user, "notes:write", token_id=token, **bounds) for token in tokens]
    answers = [
        await api.post(NOTES, json={"title": title}, headers={**KEY, **caller})
        for title, caller in zip("aabc", callers, strict=True)
    ]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", None, None]
    assert await rows(COUNT) == [(3,)]
    again = await api.post(NOTES, json={"title": "b"}, headers={**KEY, **callers[2]})
    assert again.content == answers[2].content


async def test_r32_an_effect_whose_answer_can_t_be_kept_is_none(api, rows):
    answer = await api.post("/api/v1/forgetful-notes", json={"title": "a"}, headers=KEY)
    assert (answer.status_code, code_of(answer)) == (500, "INTERNAL_ERROR")
    assert await rows(COUNT) == [(0,)]


@pytest.mark.parametrize("changed", [{"json": {"title": "b"}}, {"params": {"x": "1"}}])
async def test_r32_422_when_the_key_was_used_for_another_request(api, rows, changed):
    await api.post(NOTES, json={"title": "a"}, headers=KEY)
    answer = await api.post(NOTES, **{"json": {"title": "a"}, "headers": KEY, **changed})
    assert answer.status_code == 422
    assert code_of(answer) in {"IDEMPOTENCY_KEY_REUSED", "UNKNOWN_PARAMETER"}
    assert await rows(COUNT) == [(1,)]


async def test_r32_a_key_is_the_callers_own(api, rows, test_gateway):
    await api.post(NOTES, json={"title": "a"}, headers=KEY)
    somebody = {**KEY, **test_gateway.headers(UUID(int=5))}
    answer = await api.post(NOTES, json={"title": "b"}, headers=somebody)
    assert answer.status_code == 201
    assert await rows(COUNT) == [(2,)]


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "a\tb", "é".encode()])
async def test_r32_422_a_key_that_is_none(api, rows, key):
    answer = await api.post(NOTES, json={"title": "a"}, headers={"idempotency-key": key})
    assert (answer.status_code, code_of(answer)) == (422, "IDEMPOTENCY_KEY_INVALID")
    assert await rows(COUNT) == [(0,)]


async def test_r32_409_while_the_first_request_is_running(api, gate, rows):
    first = asyncio.ensure_future(api.post(NOTES, json={"title": "a"}, headers=KEY))
    await gate.reached.wait()
    second = await api.post(NOTES, json={"title": "a"}, headers=KEY)
    assert (second.status_code, code_of(second)) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert second.headers["retry-after"] == "1"
    gate.open.set()
    assert (await first).status_code == 201
    assert await rows(COUNT) == [(1,)]


async def test_r32_racing_requests_have_one_effect(api, rows):
    answers = await asyncio.gather(*(api.post(NOTES, json={"title": "a"}, headers=KEY) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    ids = {answer.json()["data"]["id"] for answer in answers if answer.status_code == 201}
    assert len(ids) == 1
    assert await rows("SELECT id::text FROM notes.note") == [(ids.pop(),)]


async def test_r32_refusals_are_not_kept(api, rows):
    for body, status in (({"title": ""}, 422), ({"title": "refused"}, 409)):
        assert (await api.post(NOTES, json=body, headers=KEY)).status_code == status
    assert await rows("SELECT * FROM notes.idempotency_key") == []
    assert (await api.post(NOTES, json={"title": "a"}, headers=KEY)).status_code == 201


async def test_r32_a_key_is_forgotten_after_24_hours(api, rows):
    await api.post(NOTES, json={"title": "a"}, headers=KEY)
    await rows("UPDATE notes.idempotency_key SET created_at = now() - interval '23 hours 59 minutes'")
    assert (await api.post(NOTES, json={"title": "a"}, headers=KEY)).headers["idempotency-replayed"] == "true"
    await rows("UPDATE notes.idempotency_key SET created_at = now() - interval '24 hours 1 minute'")
    answer = await api.post(NOTES, json={"title": "b"}, headers=KEY)
    assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (201, None)
    again = await api.post(NOTES, json={"title": "b"}, headers=KEY)
    assert again.content == answer.content
    assert await rows("SELECT count(*) FROM notes.idempotency_key") == [(1,)]


async def test_r32_r38_a_request_that_ends_before_its_commit_leaves_nothing(app, api, gate, rows):
    request = asyncio.ensure_future(api.post(NOTES, json={"title": "a"}, headers=KEY))
    await gate.reached.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert app.state.database.writer.pool.checkedout() == 0
    assert await rows(COUNT) == [(0,)]
    gate.open.set()
    answer = await api.post(NOTES, json={"title": "a"}, headers=KEY)
    assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (201, None)
    assert await rows(COUNT) == [(1,)]


async def test_r37_503_when_all_connections_are_taken(open_app, caller):
    app = open_app(pool_size=1, pool_wait_seconds=0.1, write_wait_seconds=0.1)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://notes", headers=caller) as api:
        async with app.state.database.writer.connect(), app.state.database.reader.connect():
            written = await api.post(NOTES, json={"title": "a"})
            read = await api.get(NOTES)
        assert [(answer.status_code, code_of(answer)) for answer in (written, read)] == [
            (503, "SERVICE_UNAVAILABLE")
        ] * 2
        assert read.headers["retry-after"] == "1"
        assert (await api.get(NOTES)).status_code == 200
    await app.state.database.close()


@pytest.mark.parametrize(("method", "path", "works"), [("GET", f"{NOTES}", 200), ("POST", f"{NOTES}", 201)])
async def test_r37_503_in_time_when_the_database_vanishes_without_a_word(
    app, open_app, database_url, caller, rows, method, path, works
):
    async with proxied(database_url) as (proxy, through):
        silent = open_app(through, command_seconds=3, pool_size=1)
        transport = httpx2.ASGITransport(silent)
        async with httpx2.AsyncClient(transport=transport, base_url="http://notes", headers=caller) as api:

            async def ask(title):
                return await api.request(method, path, json={"title": title} if method == "POST" else None)

            assert (await ask("before")).status_code == works
            proxy.silent, began = True, asyncio.get_running_loop().time()
            answer = await ask("lost")
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "SERVICE_UNAVAILABLE")
            assert asyncio.get_running_loop().time() - began < 5.7
            proxy.silent = False
            assert (await ask("after")).status_code == works
        database = silent.state.database
        assert (database.writer.pool.checkedout(), database.reader.pool.checkedout()) == (0, 0)
        await database.close()
    assert await rows("SELECT count(*) FROM notes.note WHERE title = 'lost'") == [(0,)]
