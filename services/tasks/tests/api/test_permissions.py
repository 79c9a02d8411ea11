"""What may I do here (A10): asked at once, or read with each task."""

import pytest
from chassis.ids import uuid7
from sqlalchemy import event
from tasks_service.permissions.rules import RULES

CHECK = "/api/v1/authz/check"
PATH = "/api/v1/tasks/{}"
ALL = {"can_edit": True, "can_delete": True, "can_assign": True, "can_comment": True}
NONE = dict.fromkeys(ALL, False)


@pytest.fixture
async def task(api, test_gateway):
    """A task, and the headers of its owner."""
    headers = test_gateway.headers(uuid7())
    made = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    return {**made.json()["data"], "headers": headers}


@pytest.fixture
def joined(rows, task):
    """Makes members of the task's workspace; a guest is a viewer of the task's project."""

    async def joined(role):
        user = uuid7()
        place = {"workspace": task["workspace_id"], "user": user}
        await rows(
            "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, :role, 1, 1, now())", role=role, **place
        )
        if role == "guest":
            await rows(
                "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, 'viewer', 1, now())",
                project=task["project_id"],
                **place,
            )
        return user

    return joined


def check(action, one):
    return {"action": action, "resource": {"type": action.partition(".")[0], "id": str(one)}}


def everything(task):
    return [
        check("task.edit", task["id"]),
        check("project.create_task", task["project_id"]),
        check("workspace.manage_members", task["workspace_id"]),
    ]


async def ask(api, headers, *checks):
    answer = await api.post(CHECK, json={"checks": list(checks)}, headers=headers)
    assert answer.status_code == 200, answer.text
    return [(one["allowed"], one["reason"], one["via"]) for one in answer.json()["data"]]


@pytest.mark.parametrize(
    ("role", "edit", "manage"),
    [("owner", True, True), ("admin", True, True), ("member", True, False), ("guest", False, False)],
)
async def test_a10_answers_come_in_order_and_say_why(api, task, joined, test_gateway, role, edit, manage):
    headers = test_gateway.headers(await joined(role))
    project_role = {"owner": "manager", "admin": "manager", "member": "editor", "guest": "viewer"}[role]

    def decided(allowed, by):
        return (allowed, "ALLOWED" if allowed else "ROLE_TOO_LOW", by)

    here, there = f"project_role:{project_role}", f"workspace_role:{role}"
    decisions = await ask(api, headers, *everything(task), check("task.read", uuid7()), check("task.read", task["id"]))
    absent = (False, "NOT_FOUND", None)
    assert decisions == [decided(edit, here), decided(edit, here), decided(manage, there), absent, decided(True, here)]


async def test_a10_hidden_and_absent_are_the_same(api, task, user):
    hidden = await ask(api, user(), *everything(task))
    absent = await ask(api, user(), *everything({"id": uuid7(), "project_id": uuid7(), "workspace_id": uuid7()}))
    assert hidden == absent == [(False, "NOT_FOUND", None)] * 3


async def test_a10_a_deleted_task_is_there_for_what_is_done_in_the_trash(api, task):
    actions = ("task.read", "task.delete", "task.restore", "task.delete_permanently")
    checks = [check(action, task["id"]) for action in actions]
    here, absent = (True, "ALLOWED", "project_role:manager"), (False, "NOT_FOUND", None)
    assert await ask(api, task["headers"], *checks) == [here, here, absent, here]
    restoring = await api.post(f"{PATH.format(task['id'])}/restore", headers=task["headers"])
    assert restoring.status_code == 404
    await api.delete(PATH.format(task["id"]), headers=task["headers"])
    assert await ask(api, task["headers"], *checks) == [absent, absent, here, here]


async def test_a10_a_token_is_told_what_a_request_would_be(api, task, joined, test_gateway):
    member = await joined("member")
    by_scope = {"tasks:read": "GET", "tasks:write": "PATCH", "tasks:delete": "DELETE"}
    actions = {"GET": "task.read", "PATCH": "task.edit", "DELETE": "task.delete"}
    for read_only in (True, False):
        for scope in by_scope:
            headers = test_gateway.token_headers(member, scope, read_only=read_only)
            for needed, method in by_scope.items():
                ((allowed, reason, _),) = await ask(api, headers, check(actions[method], task["id"]))
                expected = "INSUFFICIENT_SCOPE" if needed != scope else None
                if expected is None and read_only and scope != "tasks:read":
                    expected = "TOKEN_READ_ONLY"
                assert (allowed, reason) == (expected is None, expected or "ALLOWED")
                body = {"title": "b"} if method == "PATCH" else None
                answer = await api.request(method, PATH.format(task["id"]), json=body, headers=headers)
                assert (answer.status_code == 200) is allowed
                assert allowed or answer.json()["errors"][0]["code"] == reason


async def test_a10_any_token_may_ask_and_one_without_scopes_learns_nothing(api, task, joined, test_gateway):
    headers = test_gateway.token_headers(await joined("owner"))
    decisions = await ask(api, headers, check("task.read", task["id"]), check("task.read", uuid7()))
    assert decisions == [(False, "INSUFFICIENT_SCOPE", "token_scope:tasks:read")] * 2


async def test_a10_one_statement_however_many_checks(api, task, database):
    comment = await api.post(f"{PATH.format(task['id'])}/comments", json={"body": "a"}, headers=task["headers"])
    named = [check("comment.edit", comment.json()["data"]["id"])]
    for kind, path in (("label", "labels"), ("category", "categories")):
        made = await api.post(f"/api/v1/{path}", json={"name": "a"}, headers=task["headers"])
        named.append(check(f"{kind}.edit", made.json()["data"]["id"]))
    statements = []
    event.listen(database.reader.sync_engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    counts = []
    for repeated in (1, 16):
        statements.clear()
        decisions = await ask(api, task["headers"], *(everything(task) + named) * repeated, check("task.read", uuid7()))
        assert [reason for _, reason, _ in decisions] == [*["ALLOWED"] * 6 * repeated, "NOT_FOUND"]
        counts.append(len(statements))
    assert counts == [1, 1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("checks", "REQUIRED")]),
        ({"checks": []}, [("checks", "TOO_FEW")]),
        ({"checks": [check("task.read", uuid7.__name__)]}, [("checks.0.resource.id", "INVALID_ID")]),
        ({"checks": [check("task.fly", "0199d3b2-0000-7000-8000-000000000000")]}, [("checks.0.action", "NOT_ALLOWED")]),
        (
            {"checks": [{"action": "task.read", "resource": {"type": "member", "id": str(1)}}]},
            [("checks.0.resource.type", "NOT_ALLOWED"), ("checks.0.resource.id", "INVALID_ID")],
        ),
        (
            {
                "checks": [
                    {
                        "action": "task.read",
                        "resource": {"type": "project", "id": "0199d3b2-0000-7000-8000-000000000000"},
                    }
                ]
            },
            [("checks.0", "ACTION_OF_ANOTHER_TYPE")],
        ),
    ],
)
async def test_a10_checks_that_are_none(api, user, body, expected):
    answer = await api.post(CHECK, json=body, headers=user())
    assert answer.status_code == 422
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == expected


async def test_a10_a_hundred_checks_and_not_one_more(api, task):
    assert len(await ask(api, task["headers"], *[check("task.read", task["id"])] * 100)) == 100
    body = {"checks": [check("task.read", task["id"])] * 101}
    answer = await api.post(CHECK, json=body, headers=task["headers"])
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "TOO_MANY")


@pytest.mark.parametrize(("role", "expected"), [("owner", ALL), ("member", ALL), ("guest", NONE)])
async def test_a10_a_task_carries_permissions_when_asked_for(api, task, joined, test_gateway, role, expected):
    headers = test_gateway.headers(await joined(role))
    shown = {name: value for name, value in task.items() if name != "headers"}
    for path, wrap in ((PATH.format(task["id"]), lambda one: one), ("/api/v1/tasks", lambda one: [one])):
        assert (await api.get(path, headers=headers)).json()["data"] == wrap(shown)
        with_them = (await api.get(f"{path}?include=permissions", headers=headers)).json()["data"]
        assert with_them == wrap({**shown, "permissions": expected})


async def test_a10_permissions_are_those_of_the_token(api, task, joined, test_gateway):
    owner = await joined("owner")
    cases = {
        ("tasks:read",): NONE,
        ("tasks:read", "tasks:write"): {**NONE, "can_edit": True, "can_assign": True},
        ("tasks:read", "tasks:delete", "comments:write"): {**NONE, "can_delete": True, "can_comment": True},
        ("tasks:read", "tasks:write", "tasks:delete", "comments:write"): ALL,
    }
    for scopes, expected in cases.items():
        headers = test_gateway.token_headers(owner, *scopes)
        for path in (PATH.format(task["id"]), "/api/v1/tasks"):
            data = (await api.get(f"{path}?include=permissions", headers=headers)).json()["data"]
            assert (data if isinstance(data, dict) else data[0])["permissions"] == expected, scopes
    read_only = test_gateway.token_headers(owner, *scopes, read_only=True)
    data = (await api.get(f"{PATH.format(task['id'])}?include=permissions", headers=read_only)).json()["data"]
    assert data["permissions"] == NONE


@pytest.mark.parametrize("path", [PATH, "/api/v1/tasks"])
async def test_a10_an_unknown_include_is_422(api, task, path):
    for wrong in ("permission", "", "permissions,history"):
        answer = await api.get(f"{path.format(task['id'])}?include={wrong}", headers=task["headers"])
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "NOT_ALLOWED")


async def test_a10_no_304_tells_of_permissions_that_are_gone(api, task, joined, test_gateway, rows):
    member = await joined("member")
    headers = test_gateway.headers(member)
    one, many = f"{PATH.format(task['id'])}?include=permissions", "/api/v1/tasks?include=permissions"
    tags = {path: (await api.get(path, headers=headers)).headers["etag"] for path in (one, many)}
    assert tags[one] == '"1"'
    assert tags[many] != (await api.get("/api/v1/tasks", headers=headers)).headers["etag"]
    same = await api.get(many, headers={**headers, "if-none-match": tags[many]})
    assert same.status_code == 304
    await rows("UPDATE tasks.project SET member_role = 'viewer' WHERE id = :id", id=task["project_id"])
    for path in (one, many):
        answer = await api.get(path, headers={**headers, "if-none-match": tags[path]})
        data = answer.json()["data"]
        assert (data if isinstance(data, dict) else data[0])["permissions"] == NONE
    plain = await api.get(PATH.format(task["id"]), headers={**headers, "if-none-match": '"1"'})
    assert plain.status_code == 304


async def test_a10_permissions_cost_no_statement(api, task, database):
    statements = []
    event.listen(database.reader.sync_engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    for path, count in ((PATH.format(task["id"]), 1), ("/api/v1/tasks", 1)):
        statements.clear()
        await api.get(f"{path}?include=permissions", headers=task["headers"])
        assert len(statements) == count


async def test_n2_the_table_of_roles_is_published_as_it_decides(api, test_gateway):
    answer = await api.get("/api/v1/meta/permissions", headers=test_gateway.headers(uuid7()))
    assert answer.status_code == 200
    table = {one["action"]: one for one in answer.json()["data"]}
    assert table.keys() == RULES.keys()
    assert table["task.edit"] == {
        "action": "task.edit",
        "role_in": "project",
        "roles": ["editor", "manager"],
        "own_roles": [],
        "scope": "tasks:write",
    }
    assert (table["comment.delete"]["roles"], table["comment.delete"]["own_roles"]) == (
        ["manager"],
        ["commenter", "editor"],
    )
