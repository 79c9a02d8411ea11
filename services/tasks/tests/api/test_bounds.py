"""What an API token sees that is restricted to a workspace or to projects (A8): a table of every operation."""

import json
from dataclasses import dataclass
from uuid import UUID

import pytest
from chassis.cursors import CursorSigner
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from tasks_service.workspaces.service import create_workspace

SCOPES = ("tasks:read", "tasks:write", "tasks:delete")
REQUEST_ID = "the-same-for-all"
ABSENT = "0199d3b2-0000-7000-8000-000000000000"


@dataclass
class World:
    """A person with an Inbox, and with a team that has two projects; each project has one task, named like it."""

    api: object
    gateway: object
    user: UUID
    workspaces: dict[str, str]
    projects: dict[str, str]
    tasks: dict[str, str]

    def headers(self, bounds, *scopes):
        """Return the headers of a token with these bounds; None is a session."""
        if bounds is None:
            return self.gateway.headers(self.user)
        named = {**self.workspaces, **self.projects}
        restriction = {}
        if "workspace" in bounds:
            restriction["workspace_id"] = UUID(named[bounds["workspace"]])
        if "projects" in bounds:
            restriction["project_ids"] = [UUID(named.get(name, ABSENT)) for name in bounds["projects"]]
        return self.gateway.token_headers(self.user, *(scopes or SCOPES), **restriction)


@pytest.fixture
async def world(api, database, test_gateway):
    user = uuid7()
    headers = test_gateway.headers(user)
    owner = Principal(user, uuid7())
    async with transaction(database) as session:
        team, made = await create_workspace(session, owner=owner, name="Team", members=(), projects_named=["A", "B"])
    projects = {name: str(project) for name, project in made.items()}
    tasks = {}
    for name in ("Inbox", "A", "B"):
        body = {"title": name} if name == "Inbox" else {"title": name, "project_id": projects[name]}
        task = (await api.post("/api/v1/tasks", json=body, headers=headers)).json()["data"]
        tasks[name], projects[name] = task["id"], task["project_id"]
        if name == "Inbox":
            workspaces = {"Team": str(team), "Personal": task["workspace_id"]}
    return World(api, test_gateway, user, workspaces, projects, tasks)


async def seen_in_list(world, path, headers, key):
    """Return what a list shows, which is what it counts."""
    answer = (await world.api.get(path, headers=headers)).json()
    assert answer["meta"]["total"] == len(answer["data"])
    return {one[key] for one in answer["data"]}


async def seen_one_by_one(world, headers, method, path, names, body=None):
    """Return the names whose ids are found; what is hidden is answered in the bytes of what is absent."""
    found = set()
    headers = {**headers, "x-request-id": REQUEST_ID}
    absent = await world.api.request(method, path.format(ABSENT), json=body, headers=headers)
    assert (absent.status_code, absent.json()["errors"][0]["code"]) == (404, "NOT_FOUND")
    for name, one in names.items():
        answer = await world.api.request(method, path.format(one), json=body, headers=headers)
        if answer.status_code == 200:
            found.add(name)
        else:
            assert (answer.status_code, answer.content) == (404, absent.content), name
    return found


async def list_tasks(world, headers):
    seen = await seen_in_list(world, "/api/v1/tasks", headers, "title")
    within = {
        name: await seen_in_list(world, f"/api/v1/tasks?project_id={one}", headers, "title")
        for name, one in world.projects.items()
    }
    assert within == {name: {name} & seen for name in world.projects}
    for name, workspace in world.workspaces.items():
        inside = {"Inbox"} if name == "Personal" else {"A", "B"}
        assert await seen_in_list(world, f"/api/v1/tasks?workspace_id={workspace}", headers, "title") == inside & seen
    assert await walked(world, headers) == sorted(seen, key=["B", "A", "Inbox"].index)
    return seen


async def walked(world, headers):
    """Walk the list a task at a time, forth and back."""
    titles, cursor, back = [], "", None
    while cursor is not None:
        answer = await world.api.get(f"/api/v1/tasks?per_page=1&cursor={cursor}", headers=headers)
        titles += [task["title"] for task in answer.json()["data"]]
        cursor, back = answer.json()["meta"]["next_cursor"], answer.json()["meta"]["prev_cursor"]
    if back is not None:
        answer = await world.api.get(f"/api/v1/tasks?per_page=100&cursor={back}", headers=headers)
        assert [task["title"] for task in answer.json()["data"]] == titles[:-1]
    return titles


async def create_task(world, headers):
    headers = {**headers, "x-request-id": REQUEST_ID}
    foreign = await world.api.post("/api/v1/tasks", json={"title": "new", "project_id": ABSENT}, headers=headers)
    assert (foreign.status_code, foreign.json()["errors"][0]["code"]) == (422, "PROJECT_NOT_FOUND")
    seen = set()
    wanted = {name: {"title": "new", "project_id": one} for name, one in world.projects.items()}
    for name, body in {**wanted, "none": {"title": "new"}}.items():
        answer = await world.api.post("/api/v1/tasks", json=body, headers=headers)
        if answer.status_code == 201:
            seen.add(name)
        else:
            assert (answer.status_code, answer.content) == (422, foreign.content)
    assert ("none" in seen) == ("Inbox" in seen)
    return seen - {"none"}


async def read_task(world, headers):
    return await seen_one_by_one(world, headers, "GET", "/api/v1/tasks/{}", world.tasks)


async def update_task(world, headers):
    return await seen_one_by_one(world, headers, "PATCH", "/api/v1/tasks/{}", world.tasks, {"description": "x"})


async def delete_task(world, headers):
    return await seen_one_by_one(world, headers, "DELETE", "/api/v1/tasks/{}", world.tasks)


async def locate_task(world, headers):
    return await seen_one_by_one(world, headers, "GET", "/internal/tasks/{}", world.tasks)


async def locate_project(world, headers):
    return await seen_one_by_one(world, headers, "GET", "/internal/projects/{}", world.projects)


async def list_projects(world, headers):
    seen = await seen_in_list(world, "/api/v1/projects", headers, "name")
    for name, workspace in world.workspaces.items():
        inside = {"Inbox"} if name == "Personal" else {"A", "B"}
        assert await seen_in_list(world, f"/api/v1/projects?workspace_id={workspace}", headers, "name") == inside & seen
    return seen


async def list_changes(world, headers):
    """Read all that has happened: of nothing else anything is told."""
    cursor = CursorSigner("a secret of the tests, long enough").position({})
    told = (await world.api.get(f"/api/v1/changes?cursor={cursor}", headers=headers)).json()["data"]["changes"]
    seen = {one["data"]["title"] for one in told if one["type"] == "task.created"}
    if seen != set(world.projects):
        assert {one["project_id"] for one in told} - {None} == {world.projects[name] for name in seen}
    return seen


async def list_workspaces(world, headers):
    return await seen_in_list(world, "/api/v1/workspaces", headers, "name")


async def list_memberships(world, headers):
    answer = await world.api.get("/internal/memberships", headers=headers)
    names = {one: name for name, one in world.workspaces.items()}
    return {names[one["workspace_id"]] for one in answer.json()["memberships"]}


async def seen_by_checks(world, headers, kind, names):
    """Return the names that a check finds; what is hidden is answered like what is absent."""
    checks = [{"action": f"{kind}.read", "resource": {"type": kind, "id": one}} for one in (*names.values(), ABSENT)]
    answer = await world.api.post("/api/v1/authz/check", json={"checks": checks}, headers=headers)
    *decisions, absent = answer.json()["data"]
    assert absent == {"allowed": False, "reason": "NOT_FOUND", "via": None}
    via = "workspace_role:owner" if kind == "workspace" else "project_role:manager"
    allowed = {"allowed": True, "reason": "ALLOWED", "via": via}
    assert all(decision in (allowed, absent) for decision in decisions)
    return {name for name, decision in zip(names, decisions, strict=True) if decision["allowed"]}


async def check_permissions(world, headers):
    seen = await seen_by_checks(world, headers, "project", world.projects)
    assert await seen_by_checks(world, headers, "task", world.tasks) == seen
    holding = {"Personal" if name == "Inbox" else "Team" for name in seen}
    assert await seen_by_checks(world, headers, "workspace", world.workspaces) == holding
    return seen


IN_PROJECTS = {
    "GET /api/v1/tasks": list_tasks,
    "POST /api/v1/tasks": create_task,
    "GET /api/v1/tasks/{task_id}": read_task,
    "PATCH /api/v1/tasks/{task_id}": update_task,
    "DELETE /api/v1/tasks/{task_id}": delete_task,
    "GET /internal/tasks/{task_id}": locate_task,
    "GET /internal/projects/{project_id}": locate_project,
    "GET /api/v1/projects": list_projects,
    "GET /api/v1/changes": list_changes,
    "POST /api/v1/authz/check": check_permissions,
}
IN_WORKSPACES = {
    "GET /api/v1/workspaces": list_workspaces,
    "GET /internal/memberships": list_memberships,
}
OPERATIONS = {**IN_PROJECTS, **IN_WORKSPACES}
EVERYTHING = {"Inbox", "A", "B"}, {"Personal", "Team"}
NOTHING = set(), set()
CALLERS = {
    "session": (None, EVERYTHING),
    "unrestricted token": ({}, EVERYTHING),
    "own project": ({"projects": ["A"]}, ({"A"}, {"Team"})),
    "another project": ({"projects": ["B"]}, ({"B"}, {"Team"})),
    "projects of two workspaces": ({"projects": ["A", "Inbox"]}, ({"A", "Inbox"}, {"Team", "Personal"})),
    "own workspace": ({"workspace": "Team"}, ({"A", "B"}, {"Team"})),
    "another workspace": ({"workspace": "Personal"}, ({"Inbox"}, {"Personal"})),
    "workspace and project": ({"workspace": "Team", "projects": ["B"]}, ({"B"}, {"Team"})),
    "workspace and project of another one": ({"workspace": "Personal", "projects": ["A"]}, NOTHING),
    "no project": ({"projects": []}, NOTHING),
    "project that is not": ({"projects": ["nowhere"]}, NOTHING),
}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a8_what_a_restricted_token_sees(world, operation, caller):
    bounds, (projects, workspaces) = CALLERS[caller]
    seen = await OPERATIONS[operation](world, world.headers(bounds))
    assert seen == (projects if operation in IN_PROJECTS else workspaces)


@pytest.mark.parametrize("caller", CALLERS)
async def test_a8_a_stranger_sees_nothing_through_a_token_for_it(world, caller, test_gateway):
    """A restriction gives nothing: it narrows what its user may see."""
    bounds, _ = CALLERS[caller]
    stranger = World(world.api, test_gateway, uuid7(), world.workspaces, world.projects, world.tasks)
    headers = stranger.headers(bounds)
    for operation in set(OPERATIONS) - {"POST /api/v1/tasks"}:
        assert await OPERATIONS[operation](stranger, headers) == set(), operation


@pytest.mark.parametrize("caller", [caller for caller, (_, seen) in CALLERS.items() if seen[0]])
async def test_a8_positions_are_those_of_what_is_seen(world, caller, rows):
    bounds, (projects, workspaces) = CALLERS[caller]
    headers = world.headers(bounds)
    path = f"/api/v1/tasks/{world.tasks[min(projects)]}"
    answers = [
        await world.api.patch(path, json={"title": "x"}, headers=headers),
        await world.api.delete(path, headers={**headers, "prefer": "return=minimal"}),
    ]
    ids = {world.workspaces[name] for name in workspaces}
    heads = {
        str(one): seq
        for one, seq in await rows("SELECT workspace_id, last_seq FROM tasks.change_counter")
        if str(one) in ids
    }
    position = CursorSigner("a secret of the tests, long enough").read_position(answers[1].headers["x-cursor"])
    assert {str(one): seq for one, seq in position.items()} == heads
    for answer in answers:
        narrowed = await world.api.get(f"/api/v1/tasks?min_cursor={answer.headers['x-cursor']}", headers=headers)
        assert narrowed.status_code == 200


async def test_a8_a_position_beyond_reach_is_not_waited_for(world):
    """Neither the answer nor its time tells what a workspace out of reach is at."""
    signer = CursorSigner("a secret of the tests, long enough")
    beyond = signer.position({UUID(world.workspaces["Personal"]): 10_000})
    for bounds, status in ((None, 503), ({"projects": ["A"]}, 200), ({"workspace": "Team"}, 200)):
        headers = {**world.headers(bounds), "x-min-cursor": beyond}
        assert (await world.api.get("/api/v1/tasks", headers=headers)).status_code == status


async def test_a8_a_token_without_the_inbox_makes_no_personal_workspace(api, test_gateway, rows):
    user = uuid7()
    for bounds in ({"project_ids": [uuid7()]}, {"workspace_id": uuid7()}, {"bot": True}):
        headers = test_gateway.token_headers(user, "tasks:write", **bounds)
        answer = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "PROJECT_NOT_FOUND")
    assert await rows("SELECT id FROM tasks.workspace WHERE personal_owner_id = :user", user=user) == []
    free = test_gateway.token_headers(user, "tasks:write")
    assert (await api.post("/api/v1/tasks", json={"title": "a"}, headers=free)).status_code == 201


async def test_r32_a_first_answer_is_not_replayed_to_another_token(world, rows):
    """Tokens of one user may see different things, so each has keys of its own, and the user has."""
    path = f"/api/v1/tasks/{world.tasks['A']}"
    log = "SELECT count(*) FROM tasks.change WHERE entity_id = :id"
    wide = {**world.headers({}), "idempotency-key": "k"}
    first = await world.api.patch(path, json={"title": "secret"}, headers=wide)
    again = await world.api.patch(path, json={"title": "secret"}, headers=wide)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    before = await rows(log, id=world.tasks["A"])
    for bounds in ({"projects": ["B"]}, {"workspace": "Personal"}):
        headers = {**world.headers(bounds), "idempotency-key": "k"}
        narrow = await world.api.patch(path, json={"title": "secret"}, headers=headers)
        assert (narrow.status_code, "secret" in narrow.text) == (404, False)
    for bounds in (None, {}, {"projects": ["A"]}):
        headers = {**world.headers(bounds), "idempotency-key": "k"}
        own = await world.api.patch(path, json={"title": "secret"}, headers=headers)
        assert (own.status_code, "idempotency-replayed" in own.headers) == (200, False)
    assert await rows(log, id=world.tasks["A"]) == before


@pytest.mark.parametrize("narrowed", [{"projects": ["B"]}, {"workspace": "Personal"}, {"projects": []}])
async def test_r32_a_first_answer_is_not_replayed_to_the_token_once_it_is_restricted(world, test_gateway, narrowed):
    """Should a token's restriction ever change, what it was answered before is not shown again."""
    token, path = uuid7(), f"/api/v1/tasks/{world.tasks['A']}"
    wide = test_gateway.token_headers(world.user, *SCOPES, token_id=token)
    named = {**world.workspaces, **world.projects}
    bounds = (
        {"workspace_id": UUID(named[narrowed["workspace"]])}
        if "workspace" in narrowed
        else {"project_ids": [UUID(named[name]) for name in narrowed["projects"]]}
    )
    narrow = test_gateway.token_headers(world.user, *SCOPES, token_id=token, **bounds)
    key = {"idempotency-key": "k"}
    first = await world.api.delete(path, headers={**wide, **key})
    again = await world.api.delete(path, headers={**wide, **key})
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    refused = await world.api.delete(path, headers={**narrow, **key})
    assert (refused.status_code, json.loads(refused.content)["data"]) == (404, None)


@pytest.mark.parametrize("caller", ["session", "token", "bot"])
async def test_the_log_tells_who_acted_and_through_what(world, test_gateway, rows, caller):
    token = uuid7()
    headers = (
        world.headers(None)
        if caller == "session"
        else test_gateway.token_headers(world.user, *SCOPES, token_id=token, bot=caller == "bot")
    )
    task = world.tasks["A"]
    assert (await world.api.patch(f"/api/v1/tasks/{task}", json={"title": "x"}, headers=headers)).status_code == 200
    actor = {"type": "service_account" if caller == "bot" else "user", "id": str(world.user), "via": caller}
    expected = actor if caller == "session" else {**actor, "token_id": str(token)}
    assert await rows("SELECT actor FROM tasks.change WHERE entity_id = :id AND version = 2", id=task) == [(expected,)]
