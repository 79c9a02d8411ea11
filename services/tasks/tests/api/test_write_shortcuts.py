"""A task is made and changed before it is routed, and just as its routes make, change and answer it (ADR 21).

The same request with an Idempotency-Key goes to the route.
"""

import asyncio
import re
from itertools import count
from uuid import UUID

import asyncpg
import httpx2
import pytest
from chassis.clock import utcnow
from chassis.db.engine import open_database
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.web.health import Health
from prometheus_client import REGISTRY
from pydantic import SecretStr
from tasks_service.main import create_app
from testkit.contract import contract_client
from testkit.proxy import proxied
from testkit.statements import statements_seen

ID = {"x-request-id": "the-same-of-both"}
JSON = {"content-type": "application/json"}
MERGE = {"content-type": "application/merge-patch+json"}
KEYS = (f"key-{number}" for number in count())
FULL = {
    "title": 'A \u00fc \U0001f95b "quoted" \\ and </script>',
    "description": "# Much\n\nMore.",
    "priority": "urgent",
    "start": "2026-11-01",
    "deadline": "2026-12-24",
    "estimate_minutes": 90,
    "completion_policy": "quorum:2",
    "reopen_on_assign": True,
    "custom": {"a": [1, 2.5, -0.0, 1e21, 9007199254740993, None, True, {"b": ""}], "\u00fc": "\u2028"},
}
PLAIN = [
    {"title": "Buy milk"},
    FULL,
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
BYTES = {
    "nothing": b"",
    "half": b'{"title": "A"',
    "twice": b'{"title": "A", "title": "B"}',
    "null character": b'{"title": "A\\u0000"}',
    "no utf-8": b'{"title": "\xff"}',
    "not a number": b'{"title": "A", "custom": {"a": NaN}}',
    "too large a number": b'{"title": "A", "custom": {"a": 99999999999999999999}}',
    "too deep": b'{"title": "A", "custom": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
    "too long a text": b'{"title": "%b"}' % (b"A" * 501),
    "longer than a shortcut takes": b'{"title": "A"%b}' % (b" " * 70_000),
    "longer than is taken": b'{"title": "A"%b}' % (b" " * 1_100_000),
}
TYPES = ("application/json; charset=utf-8", "application/json; charset=latin-1", "text/plain", "", "application/xml")
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
NEVER_SAME = {"id", "key", "created_at", "updated_at", "completed_at", "position", "since", "current", "task_ids"}
LOG = """
SELECT type, entity_type, project_id, actor, changes, resource, audience, lost_by, reason, quiet, version
FROM tasks.change WHERE task_id = :task ORDER BY seq
"""
CHANGES = [
    {"title": "Buy oat milk"},
    {"title": "Buy oat milk"},
    {},
    {"description": "More.", "priority": "high", "estimate_minutes": 5},
    {"description": None, "estimate_minutes": None},
    {"due": {"local": "2026-12-01T09:00:00"}},
    {"due": None, "start": "2026-12-01", "deadline": "2026-12-24"},
    {"custom": {"a": 1, "b": {"c": True, "d": 1e21}}},
    {"custom": {"a": None, "b": {"c": 1}}},
    {"custom": None},
    {"completion_policy": "all", "reopen_on_assign": True},
    {"status": "in_progress"},
    {"status": "done"},
    {"status": "done"},
    {"status": "todo", "title": "Buy milk again"},
    {"status": "no_such"},
    {"title": None},
    {"title": ""},
    {"start": "2027-01-01"},
    {"custom": {"a": "x" * 9000}},
    {"version": 7},
    {"no_such": 1},
    {"labels": ["0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"]},
    {"labels": ["{label}"]},
    {"assignees": ["{member}"]},
    {"status": "done"},
    {"status": "todo"},
    {"assigned_to": None},
    [],
    7,
]
OF_PARENT = """
SELECT version, resource -> 'progress' FROM tasks.change
WHERE entity_id = :parent AND entity_type = 'task' ORDER BY seq
"""
SEQS = "SELECT seq FROM tasks.change WHERE workspace_id = :workspace ORDER BY seq"


@pytest.fixture
async def named(roster):
    """What bodies name, by the word that stands for it there."""
    private = {"name": "Q", "workspace_id": str(roster.workspace_id), "visibility": "private"}
    archived = await roster.ok("owner", "POST", "/projects", {"name": "R", "workspace_id": str(roster.workspace_id)})
    await roster.ok("owner", "POST", f"/projects/{archived['id']}/archive")
    label = await roster.ok("owner", "POST", "/labels", {"name": "L", "workspace_id": str(roster.workspace_id)})
    return {
        "project": str(roster.project_id),
        "private": (await roster.ok("owner", "POST", "/projects", private))["id"],
        "archived": archived["id"],
        "task": (await roster.task())["id"],
        "member": roster.id("member"),
        "label": label["id"],
    }


def filled(body, named):
    """Return a body with what is there in the place of the words."""
    if isinstance(body, dict):
        return {name: filled(value, named) for name, value in body.items()}
    if isinstance(body, list):
        return [filled(value, named) for value in body]
    return named.get(body[1:-1], body) if isinstance(body, str) and body.startswith("{") else body


def without_what_differs(value, own_id):
    """Return what is told of a task, without what no two tasks have in common."""
    if isinstance(value, dict):
        left_out = {*NEVER_SAME, *({"new", "old"} if value.get("field") in NEVER_SAME else ())}
        return {name: without_what_differs(one, own_id) for name, one in value.items() if name not in left_out}
    if isinstance(value, list):
        return [without_what_differs(one, own_id) for one in value]
    return "its id" if str(value) == own_id else value


@pytest.fixture
def both(compared):
    """Asks for a task to be made by the shortcut and by the route, compares what both say and do, and returns it."""

    async def ask(own, content=None, body=None, **headers):
        sent = {"content": content} if body is None and content is not None else {"json": body}
        return await compared("POST", ["/api/v1/tasks"] * 2, {**own, **headers}, sent)

    return ask


@pytest.fixture
def both_change(compared):
    """Has one of two equal tasks changed by the shortcut and the other one by the route, compares what both say and do.

    Returns what the shortcut says.
    """

    async def ask(twins, own, body=None, content=None, **headers):
        sent = {"json": body} if content is None else {"content": content}
        return await compared("PATCH", [f"/api/v1/tasks/{one['id']}" for one in twins], {**own, **headers}, sent)

    return ask


@pytest.fixture
def compared(roster, rows):
    """Asks by the shortcut and by the route, each along a path of its own, and compares what both say and do."""

    async def ask(method, paths, headers, sent):
        given = {**headers, **ID}
        by_shortcut = await roster.api.request(method, paths[0], headers=given, **sent)
        by_route = await roster.api.request(method, paths[1], headers={**given, "idempotency-key": next(KEYS)}, **sent)
        told = [await _told(one, path) for one, path in zip((by_shortcut, by_route), paths, strict=True)]
        assert told[0] == told[1], (headers, sent)
        return by_shortcut

    async def _told(answer, path):
        left_out = {"server-timing", "x-cursor", "location", "content-length"}
        headers = [(name, value) for name, value in answer.headers.items() if name not in left_out]
        if not answer.is_success:
            own_id = path.rpartition("/")[2]
            return answer.status_code, headers, without_what_differs(answer.json(), own_id)
        data = answer.json()["data"]
        assert answer.headers.get("location") == (f"/api/v1/tasks/{data['id']}" if answer.status_code == 201 else None)
        logged = [
            without_what_differs([_plain(one) for one in row], data["id"])
            for row in await rows(LOG, task=UUID(data["id"]))
        ]
        whole = answer.json()
        names = [*whole, *whole["meta"], *data, "x-cursor" in answer.headers]
        return answer.status_code, headers, names, without_what_differs(whole, data["id"]), logged

    return ask


def _plain(value):
    return [str(one) if isinstance(one, UUID) else one for one in value] if isinstance(value, list) else value


def callers_of_all_kinds(roster, private):
    """Return headers by whose they are."""
    gateway, owner = roster.gateway, roster.ids["owner"]
    tokens = {
        "token": {},
        "token of the workspace": {"workspace_id": roster.workspace_id},
        "token of another workspace": {"workspace_id": uuid7()},
        "token of the project": {"project_ids": [roster.project_id]},
        "token of another project": {"project_ids": [UUID(private)]},
        "token of no project": {"project_ids": []},
        "token that reads only": {"read_only": True},
        "bot": {"bot": True},
    }
    signed = gateway._signer  # noqa: SLF001 - what is over can't be had otherwise
    late = signed.sign(Principal(owner, uuid7()), now=utcnow().replace(year=2020))
    return {
        **{name: gateway.headers(user_id) for name, user_id in roster.ids.items()},
        **{name: gateway.token_headers(owner, "tasks:write", **bounds) for name, bounds in tokens.items()},
        "token that reads": gateway.token_headers(owner, "tasks:read"),
        "service": gateway.service_headers(),
        "nobody": {},
        "a liar": {"x-taskloom-identity": "a.b.c"},
        "too late": {"x-taskloom-identity": late},
    }


async def test_r36_each_caller_makes_what_the_route_would_let_them_make(roster, named, both):
    made = {}
    for who, own in callers_of_all_kinds(roster, named["private"]).items():
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
    assert rights["token that reads only"] == rights["token that reads"] == (403, 403, 403)
    for who in ("service", "nobody", "a liar", "too late"):
        assert rights[who] == (401, 401, 401), who


async def test_g1_what_is_made_is_what_the_route_makes(roster, named, both):
    own = roster.gateway.headers(roster.ids["owner"])
    for body in (*PLAIN, *NAMING):
        assert (await both(own, body=filled(body, named))).status_code == 201, body


async def test_r28_what_is_refused_is_told_by_the_route_and_leaves_nothing_behind(roster, named, both, rows):
    own = roster.gateway.headers(roster.ids["owner"])
    before = await rows("SELECT count(*) FROM tasks.change")
    for body in REFUSED:
        assert 400 <= (await both(own, body=filled(body, named), content=b"null")).status_code < 500, body
    assert await rows("SELECT count(*) FROM tasks.change") == before


@pytest.mark.parametrize("kind", BYTES)
async def test_r29_what_is_no_plain_json_is_told_by_the_route(roster, both, kind):
    own = roster.gateway.headers(roster.ids["owner"])
    answer = await both(own, content=BYTES[kind], **JSON)
    assert answer.status_code == (201 if kind == "longer than a shortcut takes" else answer.status_code)
    assert answer.status_code == 201 or 400 <= answer.status_code < 500


@pytest.mark.parametrize("media_type", TYPES)
async def test_r29_what_is_said_to_be_something_else_is_told_by_the_route(roster, both, media_type):
    own = roster.gateway.headers(roster.ids["owner"])
    answer = await both(own, content=b'{"title": "A"}', **{"content-type": media_type})
    assert answer.status_code == (201 if media_type == TYPES[0] else 415)
    packed = await both(own, content=b'{"title": "A"}', **{**JSON, "content-encoding": "gzip"})
    assert packed.status_code == 415


async def twins_of(roster, **fields):
    return [await roster.task(**fields) for _ in range(2)]


async def test_g1_what_is_changed_is_what_the_route_changes(roster, named, both_change):
    own = roster.gateway.headers(roster.ids["owner"])
    pairs = [await twins_of(roster), await twins_of(roster, parent_id=named["task"])]
    for twins in pairs:
        for body in CHANGES:
            assert (await both_change(twins, own, body=filled(body, named))).status_code < 500, body
    by_merge = await both_change(pairs[0], own, content=b'{"title": "C"}', **MERGE)
    assert by_merge.json()["data"]["title"] == "C"


async def test_r36_each_caller_changes_what_the_route_would_let_them_change(roster, named, both_change):
    open_to_all, private = await twins_of(roster), await twins_of(roster, project_id=named["private"])
    statuses = {}
    for who, own in callers_of_all_kinds(roster, named["private"]).items():
        answers = [await both_change(twins, own, body={"title": f"by {who}"}) for twins in (open_to_all, private)]
        statuses[who] = tuple(one.status_code for one in answers)
    assert statuses["owner"] == statuses["token"] == statuses["bot"] == (200, 200)
    assert statuses["member"] == statuses["token of the project"] == (200, 404)
    assert statuses["token of another project"] == (404, 200)
    assert statuses["viewer"] == (403, 404)
    assert statuses["stranger"] == statuses["guest"] == (404, 404)
    assert statuses["token that reads only"] == statuses["token that reads"] == (403, 403)
    for who in ("service", "nobody", "a liar", "too late"):
        assert statuses[who] == (401, 401), who


async def test_r33_what_a_change_was_made_for_is_looked_at_as_by_the_route(roster, both_change, rows):
    own, twins = roster.gateway.headers(roster.ids["owner"]), await twins_of(roster)
    told = []
    for number, tag in enumerate(
        ('"1"', '"1"', "*", ' "3" ', 'W/"4"', "4", '"x"', '"2147483648"', '"99999999999999999999"', "")
    ):
        told.append((await both_change(twins, own, body={"title": f"no. {number}"}, **{"if-match": tag})).status_code)
    assert told == [200, 412, 200, 200, 400, 400, 400, 412, 412, 400]
    await rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :id RETURNING 1", id=roster.workspace_id)
    assert (await both_change(twins, own, body={"title": "A"})).status_code == 428


async def test_r33_a_version_that_never_was_is_a_conflict_of_no_field(roster):
    task = await roster.task()
    for tag in ('"50"', '"2147483647"', '"2147483648"', '"9223372036854775808"', f'"{"9" * 5000}"'):
        for query in ("", "?merge=fields"):
            headers = {"if-match": tag}
            answer = await roster.ask(
                "owner", "PATCH", f"/tasks/{task['id']}{query}", {"deadline": "2026-12-01"}, **headers
            )
            assert answer.status_code == 412, (tag, answer.text)
            assert [one["field"] for one in answer.json()["errors"]] == [None]


async def test_b9_what_blocks_and_what_is_below_is_looked_at_as_by_the_route(roster, both_change):
    own = roster.gateway.headers(roster.ids["owner"])
    for rule, status in (("block", 409), ("warn", 200)):
        twins, blocker = await twins_of(roster), await roster.task()
        await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"enforce_blockers": rule})
        for one in twins:
            body = {"type": "blocks", "task_id": one["id"]}
            await roster.ok("owner", "POST", f"/tasks/{blocker['id']}/relations", body)
        answer = await both_change(twins, own, body={"status": "done"})
        assert (answer.status_code, "warnings" in answer.json()["meta"]) == (status, status == 200)
    above = await twins_of(roster)
    for one in above:
        await roster.task(parent_id=one["id"])
    assert (await both_change(above, own, body={"status": "done"})).status_code == 409
    assert (await both_change(above, own, body={"title": "A"})).status_code == 200


async def test_b6_a_subtask_counts_in_its_parent_as_by_the_route(roster, both_change, rows):
    own, parent = roster.gateway.headers(roster.ids["owner"]), await roster.task()
    twins = await twins_of(roster, parent_id=parent["id"])
    for status in ("done", "cancelled", "todo"):
        assert (await both_change(twins, own, body={"status": status})).status_code == 200
    told = await rows(OF_PARENT, parent=UUID(parent["id"]))
    assert [version for version, _ in told] == list(range(1, 10))
    # By the shortcut and by the route, and each time it is one more entry.
    counts = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (1, 1), (0, 0), (0, 1), (0, 2)]
    assert [(one["done"], one["total"]) for _, one in told] == counts


async def test_f2_who_was_done_is_asked_again_as_by_the_route(roster, both_change, rows):
    own, done = roster.gateway.headers(roster.ids["owner"]), "UPDATE tasks.assignee SET state = 'done' RETURNING 1"
    for policy in ("any", "all", "quorum:2"):
        twins = await twins_of(roster, assignees=roster.several("member", "editor"), completion_policy=policy)
        assert (await both_change(twins, own, body={"status": "done"})).status_code == 200
        assert len(await rows(done)) >= 4
        assert (await both_change(twins, own, body={"status": "todo"})).status_code == 200
        asked = "SELECT count(*) FROM tasks.assignee WHERE task_id = ANY(:ids) AND state = 'pending'"
        assert await rows(asked, ids=[UUID(one["id"]) for one in twins]) == [(4,)]


async def test_c1_what_is_archived_or_gone_is_told_by_the_route(roster, named, both_change):
    own = roster.gateway.headers(roster.ids["owner"])
    archived = await roster.ok("owner", "POST", "/projects", {"name": "S", "workspace_id": str(roster.workspace_id)})
    kept, trashed = await twins_of(roster, project_id=archived["id"]), await twins_of(roster)
    await roster.ok("owner", "POST", f"/projects/{archived['id']}/archive")
    for one in trashed:
        await roster.ok("owner", "DELETE", f"/tasks/{one['id']}")
    for twins, status in ((kept, 409), (trashed, 404), ([{"id": uuid7()}] * 2, 404)):
        assert (await both_change(twins, own, body={"title": "A"})).status_code == status


@pytest.mark.parametrize("kind", [one for one in BYTES if one != "longer than a shortcut takes"])
async def test_r29_a_change_that_is_no_plain_json_is_told_by_the_route(roster, both_change, kind):
    own, twins = roster.gateway.headers(roster.ids["owner"]), await twins_of(roster)
    answer = await both_change(twins, own, content=BYTES[kind], **JSON)
    assert answer.status_code == (200 if kind == "nothing" else answer.status_code)
    assert answer.status_code < 500


async def test_r36_what_names_nothing_new_is_changed_by_the_shortcut(roster, named, database):
    task = await roster.task()
    below = await roster.task(parent_id=task["id"])
    own, path = roster.gateway.headers(roster.ids["owner"]), f"/api/v1/tasks/{task['id']}"
    for body, headers, where, is_short in (
        ({"title": "B"}, {}, path, True),
        ({}, {}, path, True),
        ({"title": "C"}, {"if-match": "*"}, path.replace(task["id"], task["id"].upper()), True),
        ({"title": "D"}, {}, f"/api/v1/tasks/{below['id']}", True),
        ({"status": "done"}, {}, f"/api/v1/tasks/{below['id']}", True),
        ({"status": "done"}, {}, path, True),
        ({"status": "todo"}, {}, path, True),
        ({"title": "E"}, {"idempotency-key": "one"}, path, False),
        ({"title": "F"}, {}, f"{path}?merge=fields", False),
        ({"title": "G"}, {}, path.replace(task["id"], task["key"]), False),
        ({"assignees": []}, {}, path, False),
        ({"labels": []}, {}, path, False),
    ):
        with statements_seen(database.writer) as seen:
            answer = await roster.api.patch(where, headers={**own, **headers}, json=body)
        assert (answer.status_code, bool(seen)) == (200, not is_short), (body, where)


async def test_b2_fifty_changes_at_once_lose_nothing(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}"
    await asyncio.gather(
        *(roster.ok("owner", "PATCH", path, {"custom": {f"n{number}": number}}) for number in range(50))
    )
    found = await roster.ok("owner", "GET", path)
    assert found["custom"] == {f"n{number}": number for number in range(50)}
    assert found["version"] == 51


async def test_r36_what_names_no_more_than_a_project_is_made_by_the_shortcut(roster, named, database):
    own = roster.gateway.headers(roster.ids["owner"])
    # The first one makes the Inbox, which only the route does.
    await roster.api.post("/api/v1/tasks", headers=own, json={"title": "A"})
    pieces = (part for part in (b'{"title"', b': "A"}'))

    async def slowly():
        for part in pieces:
            yield part

    for sent, headers, query, is_short in (
        *(({"json": filled(body, named)}, {}, "", True) for body in PLAIN),
        *(({"json": filled(body, named)}, {}, "", False) for body in NAMING),
        ({"json": PLAIN[0]}, {"idempotency-key": "one"}, "", False),
        ({"json": PLAIN[0]}, {}, "?", True),
        ({"content": slowly()}, JSON, "", False),
        ({"content": BYTES["longer than a shortcut takes"]}, JSON, "", False),
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
    assert seqs == list(range(1, before + 81))


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
