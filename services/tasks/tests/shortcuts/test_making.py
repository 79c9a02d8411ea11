"""A task is made before it is routed, and just as its route makes and answers it (ADR 21).

The same request with an Idempotency-Key goes to the route.
"""

import asyncio
from uuid import UUID

import asyncpg
import httpx2
import pytest
from chassis.db.engine import open_database
from chassis.ids import uuid7
from chassis.web.health import Health
from prometheus_client import REGISTRY
from pydantic import SecretStr
from tasks_service.main import create_app
from testkit.contract import contract_client
from testkit.proxy import proxied
from testkit.statements import statements_seen

JSON = {"content-type": "application/json"}
PLAIN = [
    {"title": "Buy milk"},
    {"title": "  Buy milk ", "description": None, "project_id": None, "status": None, "due": None},
    {"title": "A", "due": "2026-12-01"},
    {"title": "A", "due": {"at": "2026-12-01T09:00:00Z", "timezone": "Europe/Berlin"}},
    {"title": "A", "due": {"local": "2026-12-01T09:00:00"}},
    {"title": "A", "project_id": "{project}", "status": "done"},
    {"title": "A", "project_id": "{private}", "status": "in_progress"},
    {"title": "A", "labels": [], "assignees": [], "assigned_to": None, "parent_id": None, "category_id": None},
]
NAMING = [
    {"title": "A", "project_id": "{project}", "parent_id": "{task}"},
    {"title": "A", "parent_id": "{task}"},
    {"title": "A", "project_id": "{project}", "assignees": ["{member}"]},
    {"title": "A", "project_id": "{project}", "assigned_to": "{member}"},
    {"title": "A", "project_id": "{project}", "labels": ["{label}"]},
]
REFUSED = [
    {},
    {"title": ""},
    {"title": 7},
    {"title": "A", "no_such": 1},
    {"title": "A", "version": 1},
    {"title": "A", "status": "no_such"},
    {"title": "A", "priority": "highest"},
    {"title": "A", "start": "2026-12-02", "deadline": "2026-12-01"},
    {"title": "A", "project_id": "{archived}"},
    {"title": "A", "project_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"},
    {"title": "A", "project_id": "x"},
    {"title": "A", "labels": ["0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"]},
    {"title": "A", "external_id": "7"},
    {"title": "A", "custom": {"a": "x" * 9000}},
    [],
    "A",
    None,
]
LONG = b'{"title": "A"%b}' % (b" " * 70_000)
TYPES = ("application/json; charset=utf-8", "application/json; charset=latin-1", "text/plain", "", "application/xml")
SEQS = "SELECT seq FROM tasks.change WHERE workspace_id = :workspace ORDER BY seq"


@pytest.fixture
def both(compared):
    """Asks for a task to be made by the shortcut and by the route, compares what both say and do, and returns it."""

    async def ask(own, content=None, body=None, **headers):
        sent = {"content": content} if body is None and content is not None else {"json": body}
        return await compared("POST", ["/api/v1/tasks"] * 2, {**own, **headers}, sent)

    return ask


async def test_r36_each_caller_makes_what_the_route_would_let_them_make(callers, named, both):
    made = {}
    for who, own in callers("tasks:write", "tasks:read", UUID(named["private"])).items():
        for where in ("project", "private", None):
            body = {"title": "Buy milk", "project_id": named.get(where)}
            made[who, where] = (await both(own, body=body)).status_code
    rights = {
        who: tuple(made[who, where] for where in ("project", "private", None)) for who, where in made if where is None
    }
    assert rights["owner"] == rights["token"] == (201, 201, 201)
    assert rights["member"] == (201, 422, 201)
    assert rights["viewer"][0] == 403
    assert rights["stranger"][0] == rights["guest"][0] == 422
    assert rights["token of the project"][:2] == (201, 422)
    assert rights["token of another project"][:2] == (422, 201)
    assert rights["bot"][0] == 201
    assert rights["token that reads only"] == rights["token with another scope"] == (403, 403, 403)
    for who in ("service", "nobody", "a liar", "too late"):
        assert rights[who] == (401, 401, 401), who


async def test_g1_what_is_made_is_what_the_route_makes(roster, full, filled, both):
    own = roster.gateway.headers(roster.ids["owner"])
    for body in (full, *PLAIN, *NAMING):
        assert (await both(own, body=filled(body))).status_code == 201, body


async def test_r28_what_is_refused_is_told_by_the_route_and_leaves_nothing_behind(roster, filled, both, rows):
    own = roster.gateway.headers(roster.ids["owner"])
    before = await rows("SELECT count(*) FROM tasks.change")
    for body in REFUSED:
        assert 400 <= (await both(own, body=filled(body), content=b"null")).status_code < 500, body
    assert await rows("SELECT count(*) FROM tasks.change") == before


async def test_r29_what_is_no_plain_json_is_told_by_the_route(roster, both, broken):
    own = roster.gateway.headers(roster.ids["owner"])
    assert 400 <= (await both(own, content=broken, **JSON)).status_code < 500
    assert (await both(own, content=b"", **JSON)).status_code == 422
    assert (await both(own, content=LONG, **JSON)).status_code == 201


@pytest.mark.parametrize("media_type", TYPES)
async def test_r29_what_is_said_to_be_something_else_is_told_by_the_route(roster, both, media_type):
    own = roster.gateway.headers(roster.ids["owner"])
    answer = await both(own, content=b'{"title": "A"}', **{"content-type": media_type})
    assert answer.status_code == (201 if media_type == TYPES[0] else 415)
    packed = await both(own, content=b'{"title": "A"}', **{**JSON, "content-encoding": "gzip"})
    assert packed.status_code == 415


async def test_r36_what_names_no_more_than_a_project_is_made_by_the_shortcut(roster, full, filled, database):
    own = roster.gateway.headers(roster.ids["owner"])
    # The first one makes the Inbox, which only the route does.
    await roster.api.post("/api/v1/tasks", headers=own, json={"title": "A"})
    pieces = (part for part in (b'{"title"', b': "A"}'))

    async def slowly():
        for part in pieces:
            yield part

    for sent, headers, query, is_short in (
        *(({"json": filled(body)}, {}, "", True) for body in (full, *PLAIN)),
        *(({"json": filled(body)}, {}, "", False) for body in NAMING),
        ({"json": PLAIN[0]}, {"idempotency-key": "one"}, "", False),
        ({"json": PLAIN[0]}, {}, "?", True),
        ({"content": slowly()}, JSON, "", False),
        ({"content": LONG}, JSON, "", False),
    ):
        with statements_seen(database.writer) as seen:
            answer = await roster.api.post(f"/api/v1/tasks{query}", headers={**own, **headers}, **sent)
        assert (answer.status_code, bool(seen)) == (201, not is_short), sent


async def test_r31_a_parameter_is_told_by_the_route(roster):
    own = roster.gateway.headers(roster.ids["owner"])
    answer = await roster.api.post("/api/v1/tasks?x=1", headers=own, json={"title": "A"})
    assert answer.status_code == 422
    assert [one["code"] for one in answer.json()["errors"]] == ["UNKNOWN_PARAMETER"]


async def test_r65_the_shortcut_is_logged_and_counted_as_its_route(roster, both):
    own = roster.gateway.headers(roster.ids["owner"])
    counted = []
    for _ in range(2):
        labels = {"method": "POST", "route": "/api/v1/tasks", "status": "201"}
        counted.append(REGISTRY.get_sample_value("taskloom_http_requests_total", labels) or 0)
        await both(own, body={"title": "Buy milk", "project_id": str(roster.project_id)})
    assert counted[1] - counted[0] == 2


async def test_r44_many_at_once_have_numbers_without_gaps(roster, rows):
    before = len(await rows(SEQS, workspace=roster.workspace_id))
    made = await asyncio.gather(*(roster.task(title=f"no. {number}") for number in range(40)))
    assert len({one["key"] for one in made}) == 40
    seqs = [seq for (seq,) in await rows(SEQS, workspace=roster.workspace_id)]
    assert seqs == list(range(1, before + 41))


@pytest.mark.parametrize("lost", ["cut_request", "cut_reply"])
async def test_r37_what_may_have_been_done_is_not_done_again(roster, database_settings, settings, contract, rows, lost):
    """Whether a commit whose answer is lost came about is known to nobody: it is the caller's to ask again."""
    own = roster.gateway.headers(roster.ids["owner"])
    async with proxied(database_settings.url.get_secret_value()) as (proxy, url):
        beyond = database_settings.model_copy(update={"url": SecretStr(url)})
        database = open_database(beyond, application_name="tasks-cut-tests")
        transport = httpx2.ASGITransport(app=create_app(settings, database=database, health=Health()))
        async with contract_client(contract, transport=transport, base_url="http://tasks") as client:
            body = {"title": f"Lost by {lost} {uuid7()}", "project_id": str(roster.project_id)}
            setattr(proxy, lost, b"COMMIT")
            with statements_seen(database.writer) as seen:
                answer = await client.post("/api/v1/tasks", headers=own, json=body)
        await database.close()
    assert (answer.status_code, proxy.cuts, seen) == (503, 1, [])
    [(made,)] = await rows("SELECT count(*) FROM tasks.task WHERE title = :title", title=body["title"])
    assert made == (1 if lost == "cut_reply" else 0)


FAILING = """
CREATE SEQUENCE tasks.attempts;
GRANT USAGE ON SEQUENCE tasks.attempts TO PUBLIC;
CREATE FUNCTION tasks.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('tasks.attempts');
    RAISE EXCEPTION 'overtaken' USING ERRCODE = '40001';
END $$;
CREATE TRIGGER fail BEFORE INSERT ON tasks.task FOR EACH ROW WHEN (NEW.title = 'Fail') EXECUTE FUNCTION tasks.fail();
"""
WORKING = """
DROP TRIGGER fail ON tasks.task; DROP FUNCTION tasks.fail(); DROP SEQUENCE tasks.attempts;
"""


@pytest.fixture
async def failing(database_settings):
    """Lets tasks with the title `Fail` fail as if others were faster, and tells how often it was tried."""
    owner = await asyncpg.connect(database_settings.url.get_secret_value())
    await owner.execute(FAILING)

    async def tried():
        return await owner.fetchval("SELECT last_value FROM tasks.attempts")

    yield tried
    await owner.execute(WORKING)
    await owner.close()


def repeated():
    return REGISTRY.get_sample_value("taskloom_http_requests_repeated_total", {"state": "40001"}) or 0


async def test_r37_what_others_were_faster_with_is_tried_as_often_as_by_the_route(roster, failing):
    own, body = roster.gateway.headers(roster.ids["owner"]), {"title": "Fail", "project_id": str(roster.project_id)}
    tried, counted = [0], [repeated()]
    for key in ({}, {"idempotency-key": "one"}):
        assert (await roster.api.post("/api/v1/tasks", headers={**own, **key}, json=body)).status_code == 503
        tried.append(await failing())
        counted.append(repeated())
    assert [tried[1] - tried[0], tried[2] - tried[1]] == [4, 4]
    assert [counted[1] - counted[0], counted[2] - counted[1]] == [3, 3]


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([{"type": "http.disconnect"}], 0),
        ([{"type": "http.request", "body": b'{"title": "Half"}', "more_body": True}, {"type": "http.disconnect"}], 0),
        ([{"type": "http.request", "body": b'{"title": "Half"}'}], 201),
        ([{"type": "http.request", "body": part, "more_body": True} for part in (b'{"title"', b': "Half"}', b"")], 201),
    ],
    ids=["nothing", "half", "whole", "in parts"],
)
async def test_r38_of_a_body_that_breaks_off_nothing_is_made(settings, database, roster, messages, status):
    sent = []

    async def receive():
        return next(coming)

    async def send(message):
        sent.append(message)

    own = roster.gateway.headers(roster.ids["owner"])
    project = b', "project_id": "%b"}' % str(roster.project_id).encode()
    parts = ({**one, "body": one["body"].replace(b"}", project)} if "body" in one else one for one in messages)
    coming = iter([*parts, {"type": "http.request", "body": b""}])
    headers = [(b"content-type", b"application/json"), (b"content-length", b"77")]
    headers += [(name.encode(), value.encode()) for name, value in own.items()]
    where = {"path": "/api/v1/tasks", "raw_path": b"/api/v1/tasks", "root_path": "", "query_string": b""}
    scope = {"type": "http", "method": "POST", "http_version": "1.1", "scheme": "http", **where, "headers": headers}
    app = create_app(settings, database=database, health=Health())
    made = "SELECT count(*) FROM tasks.task WHERE title = 'Half'"
    [(before,)] = await roster.rows(made)
    await app(scope, receive, send)
    assert (sent[0]["status"] if sent else 0) == status
    assert await roster.rows(made) == [(before + (status == 201),)]


TELLING = """
CREATE FUNCTION tasks.tell_who() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.description := current_user || ' for ' || current_setting('taskloom.caller');
    RETURN NEW;
END $$;
CREATE TRIGGER tell_who BEFORE INSERT OR UPDATE ON tasks.task FOR EACH ROW WHEN (NEW.title LIKE 'Who%')
EXECUTE FUNCTION tasks.tell_who();
"""
SILENT = "DROP TRIGGER tell_who ON tasks.task; DROP FUNCTION tasks.tell_who();"


@pytest.fixture
async def telling_who(database_settings):
    """Has the database say in the description of a task whom it was written as."""
    owner = await asyncpg.connect(database_settings.url.get_secret_value())
    await owner.execute(TELLING)
    yield
    await owner.execute(SILENT)
    await owner.close()


@pytest.mark.usefixtures("telling_who")
async def test_r36_what_the_shortcut_writes_is_bound_to_its_caller(roster):
    made = await roster.task(title="Who is it?")
    as_whom = f"tasks_caller for {roster.id('owner')}"
    assert made["description"] == as_whom
    changed = await roster.ok("editor", "PATCH", f"/tasks/{made['id']}", {"title": "Who was it?"})
    assert changed["description"] == f"tasks_caller for {roster.id('editor')}"
