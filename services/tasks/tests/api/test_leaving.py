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
TABLES = ("member", "project_member", "task_share", "watcher", "star", "personal_label", "assignee")


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
    everybody = sorted(user for user, role in expected.items() if role != "guest")
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


@pytest.mark.parametrize(
    ("others", "away", "heir"),
    [
        # An owner who is away owns it still, but somebody who is there owns it, too.
        ({"o": "owner", "a": "admin", "m": "member"}, ["o"], "a"),
        ({"o": "owner", "a": "admin", "m": "member"}, ["o", "a"], "m"),
        ({"o": "owner", "a": "admin"}, ["o", "a"], None),
        ({"o": "owner", "g": "guest"}, ["o"], None),
        # Without any other owner somebody who is away is better than nobody.
        ({"a": "admin", "m": "member"}, ["a"], "m"),
        ({"a": "admin", "g": "guest"}, ["a"], "a"),
    ],
)
async def test_n5_who_can_log_in_comes_after_the_last_owner_who_could(place, rows, vanish, others, away, heir):
    one = await place(last="owner", **others)
    for name in away:
        await rows(
            "INSERT INTO tasks.person (id, email_verified, kind, status, version)"
            " VALUES (:id, false, 'human', 'deactivated', 1)",
            id=one[name],
        )
    await vanish(one["last"])
    assert await roles_of(rows, one) == {one[name]: "owner" if name == heir else role for name, role in others.items()}


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
    both = sorted([one["last"], one["guest"]])
    assert sorted(audience for *_, audience in entries) == sorted([both, both, [one["last"]]])
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


async def test_f6_who_sees_less_by_another_role_has_nothing_on_what_they_see_no_more(
    place, task_of, mark, held, log, api, test_gateway, rows
):
    one = await place(owner="owner", member="member", other="member")
    member, other = one["member"], one["other"]
    task, shared = await task_of(one, member, other), await task_of(one, member)
    await mark(one, task, other)
    here = {"workspace": one["workspace"], "task": task, "user": member}
    await rows("INSERT INTO tasks.watcher VALUES (:workspace, :task, :user, 'manual', true, false, now())", **here)
    await rows("INSERT INTO tasks.star VALUES (:workspace, :user, :task, now())", **here)
    await rows(
        "INSERT INTO tasks.task_share VALUES (uuidv7(), :workspace, :task, :user, 'viewer', :user, 1, now())",
        workspace=one["workspace"],
        task=shared,
        user=member,
    )
    path = f"/api/v1/workspaces/{one['workspace']}/members/{member}"
    answer = await api.patch(path, json={"role": "guest"}, headers=test_gateway.headers(one["owner"]))
    assert answer.status_code == 200
    assert {task: rest[0] for task, rest in (await assignments(rows, one)).items()} == {task: [other], shared: [member]}
    assert await held(one, member) == {**dict.fromkeys(TABLES, 0), "member": 1, "task_share": 1, "assignee": 1}
    assert await held(one, other) == dict.fromkeys(TABLES, 1)
    kinds = [kind for kind, *_ in (await log(one))[-4:]]
    assert sorted(kinds) == ["member.updated.v1", "project.updated.v1", "task.updated.v1", "watcher.removed.v1"]


async def test_f6_whoever_is_given_something_while_they_leave_is_left_with_nothing(
    place, task_of, held, api, test_gateway, rows
):
    one = await place(owner="owner", **{f"m{n}": "member" for n in range(10)})
    owner = test_gateway.headers(one["owner"])
    for n in range(10):
        leaver, task = one[f"m{n}"], await task_of(one)
        answers = await asyncio.gather(
            api.post(f"/api/v1/tasks/{task}/assignees", json={"user_id": str(leaver)}, headers=owner),
            api.delete(f"/api/v1/workspaces/{one['workspace']}/members/{leaver}", headers=owner),
            api.put(f"/api/v1/projects/{one['project']}/members/{leaver}", json={"role": "editor"}, headers=owner),
        )
        assert [answer.status_code for answer in answers] in (
            [given, 200, joined] for given in (200, 201, 422) for joined in (200, 422)
        )
        assert set((await held(one, leaver)).values()) == {0}
        assert (await assignments(rows, one))[task][:2] == [[], None]


WAYS_OUT = {
    "they leave": ("viewer", "DELETE", "/workspaces/{w}/members/{viewer}", None),
    "they are removed": ("owner", "DELETE", "/workspaces/{w}/members/{viewer}", None),
    "they are off-boarded": ("owner", "POST", "/workspaces/{w}/members/{viewer}/offboard", {"unassign": True}),
    "they lose the project": ("owner", "DELETE", "/projects/{p}/members/{viewer}", None),
}


@pytest.fixture
def waiting(roster):
    """Makes a task of all that one has done, and the other has not."""

    async def make():
        task = await roster.task(assignees=roster.several("editor", "viewer"), completion_policy="all")
        await roster.ok("editor", "PATCH", f"/tasks/{task['id']}/assignees/{roster.id('editor')}", {"state": "done"})
        return f"/tasks/{task['id']}"

    return make


@pytest.mark.parametrize("way", WAYS_OUT.values(), ids=WAYS_OUT)
async def test_f6_who_loses_access_completes_nothing_since_their_part_was_not_done(roster, waiting, way):
    path = await waiting()
    count = len(await roster.log())
    who, method, place, body = way
    ids = {"w": roster.workspace_id, "p": roster.project_id, "viewer": roster.id("viewer")}
    await roster.ok(who, method, place.format(**ids), body)
    left = await roster.ok("owner", "GET", path)
    assert (left["status"], left["assignees"], left["completed_at"]) == ("todo", roster.several("editor"), None)
    assert [one["state"] for one in await roster.ok("owner", "GET", f"{path}/assignees")] == ["done"]
    changed = [fields for kind, fields, _ in await roster.log_after(count) if kind == "task.updated.v1"]
    assert changed == [{"assignees": (roster.several("editor", "viewer"), roster.several("editor"))}]
    assert (await roster.ok("editor", "PATCH", path, {"status": "done"}))["completed_by"] == roster.id("editor")


async def test_f2_taking_somebody_away_or_one_more_answer_completes_what_they_left(roster, waiting):
    taken, given = await waiting(), await waiting()
    await roster.ok("owner", "DELETE", f"{taken}/assignees/{roster.id('viewer')}")
    assert (await roster.ok("owner", "GET", taken))["status"] == "done"
    await roster.ok("viewer", "DELETE", f"/workspaces/{roster.workspace_id}/members/{roster.id('viewer')}")
    assert (await roster.ok("owner", "GET", given))["status"] == "todo"
    heir = roster.id("commenter")
    await roster.ok("owner", "POST", f"{given}/assignees", {"user_id": heir})
    await roster.ok("commenter", "PATCH", f"{given}/assignees/{heir}", {"state": "done"})
    assert (await roster.ok("owner", "GET", given))["status"] == "done"
