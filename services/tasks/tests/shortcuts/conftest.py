"""What tests of shortcuts begin with: each asks the same by a shortcut and by its route, and compares."""

from itertools import count
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7

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
BYTES = {
    "half": b'{"title": "A"',
    "twice": b'{"title": "A", "title": "B"}',
    "null character": b'{"title": "A\\u0000"}',
    "no utf-8": b'{"title": "\xff"}',
    "not a number": b'{"title": "A", "custom": {"a": NaN}}',
    "too large a number": b'{"title": "A", "custom": {"a": 99999999999999999999}}',
    "too deep": b'{"title": "A", "custom": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
    "too long a text": b'{"title": "%b"}' % (b"A" * 501),
    "longer than is taken": b'{"title": "A"%b}' % (b" " * 1_100_000),
}
NEVER_SAME = {"id", "key", "created_at", "updated_at", "completed_at", "position", "since", "current", "task_ids"}
LOG = """
SELECT type, entity_type, project_id, actor, changes, resource, audience, lost_by, reason, quiet, version
FROM tasks.change WHERE task_id = :task ORDER BY seq
"""


@pytest.fixture
def full():
    """All that can be said of a new task that names nothing."""
    return dict(FULL)


@pytest.fixture
def callers(roster):
    """Makes headers by whose they are: of tokens with a scope, and of others without it."""

    def make(scope, other_scope, private_project):
        gateway, owner = roster.gateway, roster.ids["owner"]
        bounds = {
            "token": {},
            "token of the workspace": {"workspace_id": roster.workspace_id},
            "token of another workspace": {"workspace_id": uuid7()},
            "token of the project": {"project_ids": [roster.project_id]},
            "token of another project": {"project_ids": [private_project]},
            "token of no project": {"project_ids": []},
            "token of both": {"workspace_id": roster.workspace_id, "project_ids": [roster.project_id]},
            "token that reads only": {"read_only": True},
            "bot": {"bot": True},
        }
        signed = gateway._signer  # noqa: SLF001 - what is over can't be had otherwise
        late = signed.sign(Principal(owner, uuid7()), now=utcnow().replace(year=2020))
        return {
            **{name: gateway.headers(user_id) for name, user_id in roster.ids.items()},
            **{name: gateway.token_headers(owner, scope, **bound) for name, bound in bounds.items()},
            "token without a scope": gateway.token_headers(owner),
            "token with another scope": gateway.token_headers(owner, other_scope),
            "service": gateway.service_headers(),
            "nobody": {},
            "a liar": {"x-taskloom-identity": "a.b.c"},
            "too late": {"x-taskloom-identity": late},
        }

    return make


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


@pytest.fixture
def filled(named):
    """Puts what is there into the place of the words of a body."""

    def fill(body):
        if isinstance(body, dict):
            return {name: fill(value) for name, value in body.items()}
        if isinstance(body, list):
            return [fill(value) for value in body]
        return named.get(body[1:-1], body) if isinstance(body, str) and body.startswith("{") else body

    return fill


@pytest.fixture(params=BYTES)
def broken(request):
    """Something that is no plain JSON, or too much of it."""
    return BYTES[request.param]


def without_what_differs(value, own_id):
    """Return what is told of a task, without what no two tasks have in common."""
    if isinstance(value, dict):
        left_out = {*NEVER_SAME, *({"new", "old"} if value.get("field") in NEVER_SAME else ())}
        return {name: without_what_differs(one, own_id) for name, one in value.items() if name not in left_out}
    if isinstance(value, list):
        return [without_what_differs(one, own_id) for one in value]
    return "its id" if str(value) == own_id else value


@pytest.fixture
def compared(roster, rows):
    """Asks by the shortcut and by the route, each along a path of its own, and compares what both say and do."""

    async def ask(method, paths, headers, sent):
        given = {**headers, "x-request-id": "the-same-of-both"}
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
