"""What goes with a membership (N6, F6): everything that hangs on it, in one transaction, and nothing else."""

import asyncio
from uuid import UUID

import pytest
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from tasks_service.leaving.service import leave_everything

LOG = """
    SELECT type, entity_id, version, changes, audience FROM tasks.change
    WHERE workspace_id = :workspace AND seq > :since ORDER BY seq
"""
ROLES = ("owner", "admin", "member", "guest")


@pytest.fixture
def place(rows):
    """Makes a workspace with members of the roles given, by name, and a project; the first owner made it."""

    async def make(**roles):
        users = {name: uuid7() for name in roles}
        made = {"workspace": uuid7(), "project": uuid7(), "owner": next(iter(users.values()))}
        await rows("INSERT INTO tasks.workspace VALUES (:workspace, 'W', NULL, :owner, 1, now(), now())", **made)
        await rows("INSERT INTO tasks.change_counter VALUES (:workspace, 0)", workspace=made["workspace"])
        for name, role in roles.items():
            await rows(
                "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, :role, 1, 1, clock_timestamp())",
                workspace=made["workspace"],
                user=users[name],
                role=role,
            )
        await rows(
            "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, created_by, version, created_at, updated_at)"
            " VALUES (:project, :workspace, 'P', false, :owner, 1, now(), now())",
            **made,
        )
        return {**made, **users}

    return make


@pytest.fixture
def task_of(api, test_gateway, rows):
    """Makes a task of a place that is assigned to some."""

    async def make(place, *assignees):
        body = {"title": "a", "project_id": str(place["project"])}
        made = await api.post("/api/v1/tasks", json=body, headers=test_gateway.headers(place["owner"]))
        task = UUID(made.json()["data"]["id"])
        await rows(
            "UPDATE tasks.task SET assignees = :users, assigned_to = :first WHERE id = :id",
            users=list(assignees),
            first=next(iter(assignees), None),
            id=task,
        )
        for user in assignees:
            await rows(
                "INSERT INTO tasks.assignee VALUES (:workspace, :task, :user, 'pending', :user, now())",
                workspace=place["workspace"],
                task=task,
                user=user,
            )
        return task

    return make


@pytest.fixture
def mark(rows):
    """Puts everything on a task that one of its readers can have there."""

    async def mark(place, task, user):
        here = {"workspace": place["workspace"], "task": task, "user": user}
        label = uuid7()
        for statement in (
            "INSERT INTO tasks.watcher VALUES (:workspace, :task, :user, 'manual', true, false, now())",
            "INSERT INTO tasks.star VALUES (:workspace, :user, :task, now())",
            "INSERT INTO tasks.task_share VALUES (uuidv7(), :workspace, :task, :user, 'viewer', :user, 1, now())",
        ):
            await rows(statement, **here)
        await rows(
            "INSERT INTO tasks.label VALUES (:label, :workspace, :user, 'l', :key, NULL, :user, 1, now(), now())",
            label=label,
            key=str(label),
            workspace=place["workspace"],
            user=user,
        )
        await rows("INSERT INTO tasks.personal_label VALUES (:workspace, :user, :task, :label)", label=label, **here)
        await rows(
            "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, 'editor', 1, now())",
            workspace=place["workspace"],
            project=place["project"],
            user=user,
        )

    return mark


TABLES = ("member", "project_member", "task_share", "watcher", "star", "personal_label", "assignee")


@pytest.fixture
def held(rows):
    """Counts what somebody has in a workspace, by table."""

    async def held(place, user):
        count = "SELECT count(*) FROM tasks.{} WHERE workspace_id = :workspace AND user_id = :user"
        found = [await rows(count.format(one), workspace=place["workspace"], user=user) for one in TABLES]
        return {table: many for table, ((many,),) in zip(TABLES, found, strict=True)}

    return held


@pytest.fixture
def log(rows):
    """Returns the change log of a place since a position."""

    async def log(place, since=0):
        return await rows(LOG, workspace=place["workspace"], since=since)

    return log


@pytest.fixture
def vanish(database):
    """Lets somebody be deleted."""

    async def vanish(user):
        async with transaction(database) as session:
            await leave_everything(session, user_id=user, actor=Principal(user, uuid7()))

    return vanish


async def assignments(rows, place):
    query = "SELECT id, assignees, assigned_to, version FROM tasks.task WHERE workspace_id = :id"
    return {task: rest for task, *rest in await rows(query, id=place["workspace"])}


async def roles_of(rows, place):
    found = await rows("SELECT user_id, role FROM tasks.member WHERE workspace_id = :id", id=place["workspace"])
    return dict(found)


async def test_n6_who_is_deleted_leaves_with_all_that_hangs_on_it(place, task_of, mark, held, log, rows, vanish):
    one = await place(owner="owner", leaver="member", other="member")
    leaver, other = one["leaver"], one["other"]
    alone, first = await task_of(one, leaver), await task_of(one, leaver, other)
    second = await task_of(one, other, leaver)
    for user in (leaver, other):
        await mark(one, first, user)
    assert set((await held(one, leaver)).values()) == {1, 3}
    since = len(await log(one))
    await vanish(leaver)
    assert set((await held(one, leaver)).values()) == {0}
    assert await held(one, other) == {**dict.fromkeys(TABLES, 1), "assignee": 2}
    assert await assignments(rows, one) == {
        alone: [[], None, 2],
        first: [[other], other, 2],
        second: [[other], other, 2],
    }
    entries = await log(one, since)
    assert [(kind, entity, version) for kind, entity, version, _, _ in entries[:3]] == [
        ("task.updated.v1", task, 2) for task in sorted([alone, first, second])
    ]
    changed = {entity: {c["field"]: (c["old"], c["new"]) for c in changes} for _, entity, _, changes, _ in entries[:3]}
    assert changed == {
        alone: {"assigned_to": (str(leaver), None), "assignees": ([str(leaver)], [])},
        first: {"assigned_to": (str(leaver), str(other)), "assignees": ([str(leaver), str(other)], [str(other)])},
        second: {"assignees": ([str(other), str(leaver)], [str(other)])},
    }
    staying = sorted([one["owner"], other])
    assert [audience for *_, audience in entries[:3]] == [staying] * 3
    ((kind, _, version, changes, audience),) = entries[3:]
    assert (kind, version, audience) == ("member.removed.v1", 2, sorted([*staying, leaver]))
    assert changes == [{"field": "role", "old": "member", "new": None}]
    await vanish(leaver)
    assert await log(one, since) == entries


@pytest.mark.parametrize(
    ("others", "heir"),
    [
        ({"m": "member", "a": "admin", "b": "admin"}, "a"),
        ({"g": "guest", "m": "member", "n": "member"}, "m"),
        ({"o": "owner", "a": "admin"}, None),
    ],
)
async def test_n5_after_the_last_owner_comes_who_is_longest_there(place, log, rows, vanish, others, heir):
    one = await place(last="owner", **others)
    await vanish(one["last"])
    expected = {one[name]: "owner" if name == heir else role for name, role in others.items()}
    assert await roles_of(rows, one) == expected
    entries = await log(one)
    promoted = [(changes, audience) for kind, _, _, changes, audience in entries if kind == "member.updated.v1"]
    everybody = sorted(expected)
    role = [{"field": "role", "old": others.get(heir), "new": "owner"}]
    assert promoted == ([] if heir is None else [(role, everybody)])
    assert entries[-1][0] == "member.removed.v1"
    assert entries[-1][4] == sorted([*everybody, one["last"]])


async def test_n5_nobody_who_is_gone_and_no_machine_becomes_owner(place, rows, vanish):
    one = await place(last="owner", gone="admin", bot="member", person="member")
    await rows(
        "INSERT INTO tasks.person (id, email_verified, kind, status, version)"
        " VALUES (:id, false, 'human', 'deleted', 1)",
        id=one["gone"],
    )
    await rows(
        "INSERT INTO tasks.service_account (id, workspace_id, version, deleted) VALUES (:id, :workspace, 1, false)",
        id=one["bot"],
        workspace=one["workspace"],
    )
    await vanish(one["last"])
    assert await roles_of(rows, one) == {one["gone"]: "admin", one["bot"]: "member", one["person"]: "owner"}


async def test_n5_a_workspace_that_nobody_could_own_goes_with_its_last_owner(
    place, api, test_gateway, log, rows, vanish
):
    one = await place(last="owner", guest="guest")
    await vanish(one["last"])
    assert await roles_of(rows, one) == {}
    state = "SELECT deleted_at IS NOT NULL, version FROM tasks.workspace WHERE id = :workspace"
    assert await rows(state, workspace=one["workspace"]) == [(True, 2)]
    entries = await log(one)
    assert [kind for kind, *_ in entries] == ["workspace.deleted.v1", *["member.removed.v1"] * 2]
    assert [audience for *_, audience in entries] == [sorted([one["last"], one["guest"]])] * 3
    answer = await api.get("/api/v1/workspaces", headers=test_gateway.headers(one["guest"]))
    assert answer.json()["data"] == []


async def test_n6_the_personal_workspace_goes_with_its_owner(api, user, rows, test_gateway, vanish, place):
    person = uuid7()
    headers = test_gateway.headers(person)
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    shared = await place(owner="owner", other="member")
    await rows(
        "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, 'member', 1, 1, now())",
        workspace=shared["workspace"],
        user=person,
    )
    await vanish(person)
    assert (await api.get(f"/api/v1/tasks/{task['id']}", headers=headers)).status_code == 404
    for path in ("workspaces", "projects", "tasks"):
        assert (await api.get(f"/api/v1/{path}", headers=headers)).json()["data"] == []
    assert await rows("SELECT count(*) FROM tasks.member WHERE user_id = :id", id=person) == [(0,)]
    kinds = "SELECT type, audience FROM tasks.change WHERE workspace_id = :id ORDER BY seq DESC LIMIT 2"
    assert await rows(kinds, id=UUID(task["workspace_id"])) == [
        ("member.removed.v1", [person]),
        ("workspace.deleted.v1", [person]),
    ]


async def test_n5_two_last_owners_who_go_at_once_leave_an_owner_or_no_workspace(place, rows, vanish):
    for _ in range(10):
        one = await place(a="owner", b="owner", c="member")
        await asyncio.gather(vanish(one["a"]), vanish(one["b"]))
        assert await roles_of(rows, one) == {one["c"]: "owner"}
