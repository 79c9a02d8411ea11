"""Off-boarding (N6): a member goes, what they had goes to others, and all of it or nothing happens."""

import pytest
from chassis.ids import uuid7

PATH = "/api/v1/workspaces/{workspace}/members/{user}/offboard"
LOG = """
    SELECT type, entity_id, changes, audience FROM tasks.change
    WHERE workspace_id = :workspace AND seq > :since ORDER BY seq
"""
HEAD = "SELECT last_seq FROM tasks.change_counter WHERE workspace_id = :workspace"
ITEM = """
    INSERT INTO tasks.checklist_item (id, workspace_id, task_id, text, done, assignee_id, position, created_by, version,
        created_at, updated_at)
    VALUES (uuidv7(), :workspace, :task, 'i', false, :user, 'a', :user, 1, now(), now())
"""
MANY_TASKS = """
    WITH made AS (
        INSERT INTO tasks.task (id, workspace_id, project_id, number, title, status, priority, assigned_to, assignees,
            created_by, version, created_at, updated_at)
        SELECT uuidv7(), :workspace, :project, n, 't' || n, 'todo', 'none', :leaver, ARRAY[CAST(:leaver AS uuid)],
            :leaver, 1, now(), now()
        FROM generate_series(1, 5000) n
        RETURNING id
    ), assigned AS (
        INSERT INTO tasks.assignee SELECT :workspace, id, :leaver, 'pending', :leaver, now() FROM made
    )
    INSERT INTO tasks.watcher SELECT :workspace, id, :leaver, 'assigned', true, false, now() FROM made
"""
REFUSE = """
    CREATE FUNCTION tasks.refuse_leaving() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION USING ERRCODE = '57014', MESSAGE = 'in the middle'; END $$
"""


def codes(answer):
    return [one["code"] for one in answer.json()["errors"]]


@pytest.fixture
def offboard(api, test_gateway):
    """Off-boards a member of a place, and returns the answer."""

    async def offboard(place, user, body, *, by=None):
        path = PATH.format(workspace=place["workspace"], user=user)
        return await api.post(path, json=body, headers=test_gateway.headers(by or place["owner"]))

    return offboard


@pytest.fixture
def since(rows):
    """Returns the position of a place in the log, and what came after one."""

    async def since(place, position=None):
        if position is None:
            ((head,),) = await rows(HEAD, workspace=place["workspace"])
            return head
        return await rows(LOG, workspace=place["workspace"], since=position)

    return since


@pytest.fixture
def private(rows):
    """Adds a private project with members, by role, to a place."""

    async def private(place, **roles):
        project = uuid7()
        await rows(
            "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, visibility, created_by, version, created_at,"
            " updated_at) VALUES (:project, :workspace, 'Q', false, 'private', :owner, 1, now(), now())",
            project=project,
            workspace=place["workspace"],
            owner=place["owner"],
        )
        for name, role in roles.items():
            await rows(
                "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, :role, 1, now())",
                workspace=place["workspace"],
                project=project,
                user=place[name],
                role=role,
            )
        return project

    return private


async def assigned(rows, *tasks):
    found = dict(await rows("SELECT id, assignees FROM tasks.task WHERE id = ANY(:ids)", ids=list(tasks)))
    listed = await rows("SELECT task_id, user_id FROM tasks.assignee WHERE task_id = ANY(:ids)", ids=list(tasks))
    assert {(task, user) for task, users in found.items() for user in users} == set(listed)
    return [found[task] for task in tasks]


async def test_n6_open_tasks_go_to_another_and_the_report_says_what_happened(
    place, task_of, mark, offboard, since, rows, held
):
    one = await place(owner="owner", leaver="member", heir="member", other="member")
    leaver, heir, other = one["leaver"], one["heir"], one["other"]
    plain, both = await task_of(one, leaver), await task_of(one, leaver, heir, other)
    second, closed = await task_of(one, other, leaver), await task_of(one, leaver)
    await rows(
        "UPDATE tasks.task SET status = 'done', completed_at = now() WHERE id = :id",
        id=closed,
    )
    await mark(one, plain, leaver)
    await rows(ITEM, workspace=one["workspace"], task=plain, user=leaver)
    before = await since(one)
    answer = await offboard(one, leaver, {"reassign_to": str(heir)})
    assert answer.status_code == 200, answer.text
    report = answer.json()["data"]
    assert report == {
        "workspace_id": str(one["workspace"]),
        "user_id": str(leaver),
        "reassigned": {"count": 3, "ids": [str(task) for task in sorted([plain, both, second])]},
        "unassigned": {"count": 1, "ids": [str(closed)]},
        "projects_transferred": {"count": 0, "ids": []},
        "project_memberships": 1,
        "shares": 1,
        "checklist_items": 1,
        "unwatched": 1,
        "unstarred": 1,
        "unlabelled": 1,
        "filters": 0,
    }
    assert await assigned(rows, plain, both, second, closed) == [[heir], [heir, other], [other, heir], []]
    assert set((await held(one, leaver)).values()) == {0}
    entries = await since(one, before)
    assert sorted(kind for kind, *_ in entries) == sorted(
        [*["task.updated.v1"] * 4, *["watcher.added.v1"] * 3, "checklist_item.updated.v1", "member.removed.v1"]
    )
    assert entries[-1][0] == "member.removed.v1"
    updated = [entity for kind, entity, *_ in entries if kind == "task.updated.v1"]
    assert updated == [*sorted([plain, both, second]), closed]
    assert all(leaver not in audience for kind, _, _, audience in entries if kind != "member.removed.v1")
    watching = await rows("SELECT task_id, reason FROM tasks.watcher WHERE user_id = :id", id=heir)
    assert set(watching) == {(task, "assigned") for task in (plain, both, second)}


async def test_n6_nobody_gets_a_task_that_they_can_not_see(place, task_of, offboard, private, rows):
    one = await place(owner="owner", leaver="member", heir="member", guest="guest")
    hidden = await private(one, leaver="manager", owner="manager")
    shown, secret = await task_of(one, one["leaver"]), await task_of({**one, "project": hidden}, one["leaver"])
    body = {"reassign_to": str(one["heir"]), "transfer_private": True}
    report = (await offboard(one, one["leaver"], body)).json()["data"]
    assert report["reassigned"] == {"count": 1, "ids": [str(shown)]}
    assert report["unassigned"] == {"count": 1, "ids": [str(secret)]}
    assert report["projects_transferred"]["count"] == 0
    assert await assigned(rows, shown, secret) == [[one["heir"]], []]
    report = (await offboard(one, one["heir"], {"reassign_to": str(one["guest"])})).json()["data"]
    assert (report["reassigned"]["count"], report["unassigned"]["count"]) == (0, 1)
    assert await assigned(rows, shown) == [[]]


@pytest.mark.parametrize("named", [True, False])
async def test_n6_private_projects_that_nobody_else_manages_get_a_manager(
    place, task_of, offboard, private, since, rows, named
):
    one = await place(owner="owner", leaver="member", heir="member", other="member")
    orphan = await private(one, leaver="manager", heir="viewer", owner="viewer")
    empty = await private(one, leaver="manager")
    managed = await private(one, leaver="manager", other="manager")
    edited = await private(one, leaver="editor")
    task = await task_of({**one, "project": empty}, one["leaver"])
    before = await since(one)
    body = {"reassign_to": str(one["heir"])} if named else {"unassign": True}
    report = (await offboard(one, one["leaver"], {**body, "transfer_private": True})).json()["data"]
    heir = one["heir" if named else "owner"]
    assert report["projects_transferred"] == {"count": 2, "ids": [str(each) for each in sorted([orphan, empty])]}
    assert report["project_memberships"] == 4
    query = "SELECT user_id, role FROM tasks.project_member WHERE project_id = :id AND role = 'manager'"
    assert [await rows(query, id=each) for each in (orphan, empty, managed, edited)] == [
        [(heir, "manager")],
        [(heir, "manager")],
        [(one["other"], "manager")],
        [],
    ]
    assert await assigned(rows, task) == [[heir] if named else []]
    entries = await since(one, before)
    mine = {kind: changes for kind, _, changes, _ in entries if kind.startswith("project_member")}
    assert sorted(mine) == ["project_member.added.v1", "project_member.updated.v1"]
    assert mine["project_member.updated.v1"] == [{"field": "role", "old": "viewer", "new": "manager"}]


async def test_n6_without_transfer_private_projects_stay_with_owners_and_admins(
    place, offboard, private, api, test_gateway
):
    one = await place(owner="owner", leaver="member", heir="member")
    orphan = await private(one, leaver="manager")
    report = (await offboard(one, one["leaver"], {"reassign_to": str(one["heir"])})).json()["data"]
    assert report["projects_transferred"] == {"count": 0, "ids": []}
    listed = await api.get("/api/v1/projects", headers=test_gateway.headers(one["owner"]))
    assert str(orphan) in {each["id"] for each in listed.json()["data"]}
    listed = await api.get("/api/v1/projects", headers=test_gateway.headers(one["heir"]))
    assert str(orphan) not in {each["id"] for each in listed.json()["data"]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "REASSIGN_OR_UNASSIGN"),
        ({"transfer_private": True}, "REASSIGN_OR_UNASSIGN"),
        ({"unassign": False}, "REASSIGN_OR_UNASSIGN"),
        ({"unassign": True, "reassign_to": "{other}"}, "REASSIGN_OR_UNASSIGN"),
        ({"reassign_to": "{leaver}"}, "USER_NOT_FOUND"),
        ({"reassign_to": "{stranger}"}, "USER_NOT_FOUND"),
        ({"reassign_to": "{gone}"}, "USER_NOT_FOUND"),
        ({"reassign_to": "me"}, "INVALID_ID"),
    ],
)
async def test_n6_exactly_one_way_and_a_member_who_is_there(place, offboard, rows, since, body, code):
    one = await place(owner="owner", leaver="member", other="member", gone="member")
    await rows(
        "INSERT INTO tasks.person (id, email_verified, kind, status, version)"
        " VALUES (:id, false, 'human', 'deleted', 1)",
        id=one["gone"],
    )
    users = {**one, "stranger": uuid7()}
    asked = {name: value.format(**users) if isinstance(value, str) else value for name, value in body.items()}
    answer = await offboard(one, one["leaver"], asked)
    assert (answer.status_code, codes(answer)) == (422, [code])
    assert await since(one, 0) == []


async def test_n5_no_last_owner_is_off_boarded_and_owners_by_owners_alone(place, offboard, since):
    one = await place(owner="owner", admin="admin")
    answer = await offboard(one, one["owner"], {"unassign": True})
    assert (answer.status_code, codes(answer)) == (409, ["LAST_OWNER"])
    answer = await offboard(one, one["owner"], {"unassign": True}, by=one["admin"])
    assert (answer.status_code, codes(answer)) == (403, ["FORBIDDEN"])
    answer = await offboard(one, uuid7(), {"unassign": True})
    assert answer.status_code == 404
    assert await since(one, 0) == []
    report = (await offboard(one, one["admin"], {"unassign": True, "transfer_private": True}, by=one["admin"])).json()
    assert report["data"]["user_id"] == str(one["admin"])


async def test_n6_what_fails_in_the_middle_leaves_everything_as_it_was(
    place, task_of, mark, offboard, private, since, rows, held
):
    one = await place(owner="owner", leaver="member", heir="member")
    orphan = await private(one, leaver="manager")
    task = await task_of(one, one["leaver"])
    await mark(one, task, one["leaver"])
    had, before = await held(one, one["leaver"]), await since(one)
    body = {"reassign_to": str(one["heir"]), "transfer_private": True}
    await rows(REFUSE)
    try:
        for place_of_failure in ("DELETE ON tasks.star", "INSERT ON tasks.assignee", "INSERT ON tasks.change"):
            table = place_of_failure.rpartition(" ")[2]
            await rows(
                f"CREATE TRIGGER refuse_leaving BEFORE {place_of_failure} FOR EACH ROW"
                " EXECUTE FUNCTION tasks.refuse_leaving()"
            )
            answer = await offboard(one, one["leaver"], body)
            await rows(f"DROP TRIGGER refuse_leaving ON {table}")
            assert answer.status_code == 503
            assert (await held(one, one["leaver"]), await since(one)) == (had, before)
            assert await assigned(rows, task) == [[one["leaver"]]]
            query = "SELECT user_id FROM tasks.project_member WHERE project_id = :id"
            assert await rows(query, id=orphan) == [(one["leaver"],)]
    finally:
        await rows("DROP FUNCTION tasks.refuse_leaving() CASCADE")
    assert (await offboard(one, one["leaver"], body)).json()["data"]["projects_transferred"]["count"] == 1


async def test_n6_five_thousand_tasks_change_hands_in_one_request(place, offboard, rows, since):
    one = await place(owner="owner", leaver="member", heir="member")
    await rows(MANY_TASKS, workspace=one["workspace"], project=one["project"], leaver=one["leaver"])
    report = (await offboard(one, one["leaver"], {"reassign_to": str(one["heir"])})).json()["data"]
    assert (report["reassigned"]["count"], len(report["reassigned"]["ids"])) == (5000, 1000)
    assert report["unwatched"] == 5000
    mine = "SELECT count(*) FROM tasks.{} WHERE {} = :heir"
    for table, column in (("task", "assigned_to"), ("assignee", "user_id"), ("watcher", "user_id")):
        assert await rows(mine.format(table, column), heir=one["heir"]) == [(5000,)]
    kinds = "SELECT type, count(*) FROM tasks.change WHERE workspace_id = :id GROUP BY type"
    assert dict(await rows(kinds, id=one["workspace"])) == {
        "task.updated.v1": 5000,
        "watcher.added.v1": 5000,
        "member.removed.v1": 1,
    }
