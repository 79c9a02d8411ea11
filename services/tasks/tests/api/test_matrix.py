"""R35: every operation, by every role, on what is open to its workspace, on a colleague's, and on another workspace's.

Which operations there are comes from the OpenAPI document, and what they need from the policy that it names, so that no
route can be missed. How an operation is asked for is in matrix/*.py: `ENTRIES` are functions named like the operation
that return method, path and body for a place, and headers if need be; `LISTS` are those whose answer shows what is
seen, with the attribute of the place that tells it apart, or None where the entry returns that last; `HIDDEN` is what
is answered where what is hidden is named in a body, and `UNDECIDED` are operations that are about the caller alone. An
entry with `is_own` asks about something that is the caller's own.
"""

import json
import re
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from chassis.identity import Principal
from chassis.ids import uuid7
from tasks_service.main import openapi_document
from tasks_service.permissions.policies import can
from tasks_service.permissions.rules import RULES
from tasks_service.permissions.schemas import Held

FOLDER = Path(__file__).parents[1] / "matrix"
FOUND = [runpy.run_path(str(path)) for path in sorted(FOLDER.glob("*.py"))]


def gathered(name):
    return {key: value for found in FOUND for key, value in found.get(name, {}).items()}


ENTRIES = {entry.__name__: entry for found in FOUND for entry in found.get("ENTRIES", ())}
LISTS = {entry.__name__: (entry, key) for entry, key in gathered("LISTS").items()}
HIDDEN = {entry.__name__: answer for entry, answer in gathered("HIDDEN").items()}
UNDECIDED = gathered("UNDECIDED")
OPERATIONS = {
    operation["operationId"]: operation.get("x-policy")
    for item in openapi_document()["paths"].values()
    for operation in item.values()
}

WORKSPACE_ROLES = ("owner", "admin", "member", "guest")
PROJECT_ROLES = ("manager", "editor", "commenter", "viewer")
CALLERS = (*WORKSPACE_ROLES, *PROJECT_ROLES, "colleague", "stranger", "token of another project")
PLACES = ("open", "colleague's", "other workspace's")
UUID_TEXT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REQUEST_ID = "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"


WORKSPACE = """
    WITH made AS (INSERT INTO tasks.workspace VALUES (:workspace, 'W', NULL, :owner, 1, now(), now())),
    counting AS (INSERT INTO tasks.change_counter VALUES (:workspace, 0))
    INSERT INTO tasks.member
    SELECT uuidv7(), :workspace, one.id, one.role, 1, 1, now()
    FROM unnest(CAST(:members AS uuid[]), CAST(:roles AS text[])) AS one (id, role)
"""
PROJECT = """
    WITH made AS (
        INSERT INTO tasks.project (id, workspace_id, name, is_inbox, visibility, created_by, version, created_at,
            updated_at)
        VALUES (:project, :workspace, 'P', false, :visibility, :owner, 1, now(), now())
    )
    INSERT INTO tasks.project_member
    SELECT uuidv7(), :workspace, :project, one.id, one.role, 1, now()
    FROM unnest(CAST(:members AS uuid[]), CAST(:roles AS text[])) AS one (id, role)
"""


@dataclass(frozen=True)
class Place:
    """A workspace with a project and a task in it, made for one question, and who asks."""

    api: Any
    manager: dict[str, str]
    caller_id: UUID
    users: dict[str, UUID]
    workspace_id: str
    project_id: str
    task_id: str
    rows: Any

    async def by_manager(self, method, path, body=None):
        """Make something in the place, and return it."""
        answer = await self.api.request(method, path, json=body, headers=self.manager)
        assert answer.status_code < 300, answer.text
        return answer.json()["data"]


def role_in(caller, where, action):
    """Return the role that decides; None for a caller from whom the place is hidden."""
    kind = action.partition(".")[0]
    of_workspace = kind in {"workspace", "label", "category", "filter"}
    # Of what is shared with the members, a guest sees nothing.
    if kind == "filter" and caller in {"guest", *PROJECT_ROLES}:
        return None
    if where == "other workspace's" or caller in {"stranger", "token of another project"}:
        return None
    if of_workspace:
        return caller if caller in WORKSPACE_ROLES else "guest" if caller in PROJECT_ROLES else "member"
    if caller in {"owner", "admin"}:
        return "manager"
    if where == "open":
        return {"member": "editor", "colleague": "editor", "guest": None}.get(caller, caller)
    return "manager" if caller == "colleague" else None


@pytest.fixture
def place_of(api, rows, test_gateway):
    """Makes a place of its own for a question, and returns it with the headers of who asks."""

    async def make(caller, where):
        users = {name: uuid7() for name in (*CALLERS, "other owner")}
        ids = {name: uuid7() for name in ("workspace", "project")}
        inside = where != "other workspace's"
        owner = users["owner" if inside else "other owner"]
        roles = {
            user: "owner" if user == owner else role_in(name, where, "workspace.read")
            for name, user in users.items()
            if user == owner or (inside and name != "other owner")
        }
        members = {user: role for user, role in roles.items() if role}
        managers = {"colleague": "manager"} if where == "colleague's" else {role: role for role in PROJECT_ROLES}
        made = {"workspace": ids["workspace"], "owner": owner}
        await rows(WORKSPACE, **made, members=list(members), roles=list(members.values()))
        await rows(
            PROJECT,
            **made,
            project=ids["project"],
            visibility="private" if where == "colleague's" else "workspace",
            members=[users[name] for name in managers],
            roles=list(managers.values()),
        )
        manager = test_gateway.headers(owner)
        made = await api.post("/api/v1/tasks", json={"title": "a", "project_id": str(ids["project"])}, headers=manager)
        assert made.status_code == 201, made.text
        place = Place(
            api,
            manager,
            users[caller],
            users,
            str(ids["workspace"]),
            str(ids["project"]),
            made.json()["data"]["id"],
            rows,
        )
        return place, headers_of(place, caller)

    def headers_of(place, caller):
        if caller != "token of another project":
            return test_gateway.headers(place.caller_id)
        scopes = ("tasks:read", "tasks:write", "tasks:delete", "comments:write", "admin:*")
        return test_gateway.token_headers(place.users["member"], *scopes, project_ids=[uuid7()])

    return make


def test_r35_the_matrix_has_every_operation():
    assert {*ENTRIES, *LISTS, *UNDECIDED} == set(OPERATIONS)
    assert all(OPERATIONS[name] for name in (*ENTRIES, *LISTS))


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("operation", sorted(ENTRIES))
async def test_r35_every_cell(place_of, rows, operation, caller, where):
    place, headers = await place_of(caller, where)
    method, path, body, *more = await ENTRIES[operation](place)
    asked = method, path, body
    before = await state_of(rows, place)
    action = OPERATIONS[operation]
    role = role_in(caller, where, action)
    headers = {**headers, "x-request-id": REQUEST_ID, **(more[0] if more else {})}
    answer = await place.api.request(method, path, json=body, headers=headers)
    codes = [one["code"] for one in answer.json().get("errors", ())] if answer.content else []
    if role is None:
        assert (answer.status_code, codes) == refusal_of_hidden(operation, caller, action), answer.text
        await looks_absent(place, asked, headers, answer)
    elif is_allowed(place, action, role, operation):
        assert answer.status_code < 300, answer.text
        if answer.status_code == 201:
            await leads_to_what_was_made(place, answer, headers)
    else:
        assert (answer.status_code, codes) == (403, ["FORBIDDEN"]), answer.text
    if answer.status_code >= 300:
        assert await state_of(rows, place) == before


async def leads_to_what_was_made(place, answer, headers):
    """Who made something reads it where the answer says that it is."""
    reading = {name: value for name, value in headers.items() if name != "if-match"}
    read = await place.api.get(answer.headers["location"], headers=reading)
    assert read.status_code == 200, read.text
    made, shown = answer.json()["data"], read.json()["data"]
    assert {name: shown[name] for name in made} == made


def refusal_of_hidden(operation, caller, action):
    status, code = HIDDEN.get(operation, (404, "NOT_FOUND"))
    # An instance-wide scope is not for a token that is restricted at all, whatever it asks about.
    if caller == "token of another project" and is_instance_wide(action):
        return 403, ["TOKEN_RESTRICTED"]
    return status, [code]


def is_instance_wide(action):
    return RULES[action].scope.endswith(":*")


def is_allowed(place, action, role, operation):
    own = getattr(ENTRIES[operation], "is_own", False)
    actor = Principal(place.caller_id, place.caller_id)
    return can(actor, action, Held(role, UUID(place.workspace_id), UUID(place.project_id), is_own=own)).allowed


async def looks_absent(place, asked, headers, answer):
    """What is hidden is answered in the bytes of what is not there."""
    method, path, body = asked
    absent = await place.api.request(method, elsewhere(path), json=elsewhere(body), headers=headers)
    assert (absent.status_code, absent.content) == (answer.status_code, answer.content)


def elsewhere(asked):
    """Return a path or body with ids of nothing in the place of all that it names."""
    return json.loads(UUID_TEXT.sub(lambda _: str(uuid7()), json.dumps(asked)))


async def state_of(rows, place):
    """What there is in the workspace: the log says it, since every change is in it."""
    return await rows("SELECT last_seq FROM tasks.change_counter WHERE workspace_id = :id", id=place.workspace_id)


def shown_in(answer):
    """Return the ids of what a list shows or a change is about, or of tasks that are found; counts show projects."""
    data = answer.json()["data"]
    if "changes" in data:
        return {one["subject"] for one in data["changes"] if one["data"]}
    if "items" in data:
        return {one["data"]["id"] for one in data["items"]}
    if isinstance(data, dict):
        return {one["id"] for one in data["tasks"]} if "tasks" in data else {one["value"] for one in data["project"]}
    return {one["id"] if "id" in one else one["key"]["project"] for one in data}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("operation", sorted(LISTS))
async def test_r35_every_list(place_of, operation, caller, where):
    entry, key = LISTS[operation]
    place, headers = await place_of(caller, where)
    method, path, body, *made = await entry(place)
    answer = await place.api.request(method, path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    shown = shown_in(answer)
    is_seen = role_in(caller, where, OPERATIONS[operation]) is not None
    assert ((getattr(place, key) if key else made[-1]) in shown) is is_seen


@pytest.mark.parametrize("operation", sorted({*ENTRIES, *LISTS}))
async def test_f6_who_has_been_removed_is_answered_as_if_nothing_had_been_there(place_of, rows, operation):
    """An admin, who saw everything, asks for what was made before the membership ended."""
    place, headers = await place_of("admin", "open")
    entry, key = LISTS[operation] if operation in LISTS else (ENTRIES[operation], None)
    method, path, body, *more = await entry(place)
    removal = f"/api/v1/workspaces/{place.workspace_id}/members/{place.caller_id}"
    assert (await place.api.delete(removal, headers=place.manager)).status_code == 200
    before = await state_of(rows, place)
    if operation in LISTS:
        answer = await place.api.request(method, path, json=body, headers=headers)
        shown = shown_in(answer)
        assert (answer.status_code, (getattr(place, key) if key else more[-1]) in shown) == (200, False)
    else:
        headers = {**headers, "x-request-id": REQUEST_ID, **(more[0] if more else {})}
        answer = await place.api.request(method, path, json=body, headers=headers)
        codes = [one["code"] for one in answer.json().get("errors", ())]
        assert (answer.status_code, codes) == refusal_of_hidden(operation, "admin", OPERATIONS[operation]), answer.text
        await looks_absent(place, (method, path, body), headers, answer)
    assert await state_of(rows, place) == before


async def test_f6_who_has_been_removed_is_asked_about_nowhere(place_of, rows):
    """The operations that the matrix does not decide."""
    place, headers = await place_of("admin", "open")
    removal = f"/api/v1/workspaces/{place.workspace_id}/members/{place.caller_id}"
    assert (await place.api.delete(removal, headers=place.manager)).status_code == 200
    for path in ("/api/v1/workspaces", "/internal/memberships"):
        answer = await place.api.get(path, headers=headers)
        assert (answer.status_code, place.workspace_id in answer.text) == (200, False)
    ids = {"task": place.task_id, "project": place.project_id, "workspace": place.workspace_id}
    checks = [{"action": f"{kind}.read", "resource": {"type": kind, "id": one}} for kind, one in ids.items()]
    answer = await place.api.post("/api/v1/authz/check", json={"checks": checks}, headers=headers)
    assert [one["reason"] for one in answer.json()["data"]] == ["NOT_FOUND"] * 3
