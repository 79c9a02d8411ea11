"""Members of projects: roles of their own, the last manager, and what goes with a role."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

PROJECTS = "/api/v1/projects"
MEMBERS = "SELECT user_id, role FROM tasks.project_member WHERE project_id = :id ORDER BY id"
LOG = (
    "SELECT type, version, changes, audience, lost_by FROM tasks.change"
    " WHERE project_id = :id AND entity_type = 'project_member' ORDER BY seq"
)


def codes(answer):
    return answer.status_code, [(one["code"], one["field"]) for one in answer.json()["errors"]]


@pytest.fixture
def place(rows, api, test_gateway):
    """Makes a workspace with an owner, two members and a guest, and a project of Ann's; returns who asks for what."""

    class Place:
        def __init__(self):
            self.id = str(uuid7())
            self.users = {name: uuid7() for name in ("owner", "ann", "bob", "guest", "stranger")}

        def headers(self, name):
            return test_gateway.headers(self.users[name])

        def path(self, name=None):
            path = f"{PROJECTS}/{self.project['id']}/members"
            return path if name is None else f"{path}/{self.users[name]}"

        async def put(self, name, role, by="ann"):
            return await api.put(self.path(name), json={"role": role}, headers=self.headers(by))

        async def remove(self, name, by="ann"):
            return await api.delete(self.path(name), headers=self.headers(by))

        async def read(self, by):
            return await api.get(f"{PROJECTS}/{self.project['id']}", headers=self.headers(by))

    async def make(visibility="private"):
        made = Place()
        owner = made.users["owner"]
        await rows(
            "INSERT INTO tasks.workspace (id, name, created_by, version, created_at, updated_at)"
            " VALUES (:id, 'W', :owner, 1, now(), now())",
            id=made.id,
            owner=owner,
        )
        await rows("INSERT INTO tasks.change_counter VALUES (:id, 0)", id=made.id)
        for name, role in (("owner", "owner"), ("ann", "member"), ("bob", "member"), ("guest", "guest")):
            await rows(
                "INSERT INTO tasks.member VALUES (uuidv7(), :id, :user, :role, 1, 1, now())",
                id=made.id,
                user=made.users[name],
                role=role,
            )
        body = {"name": "P", "workspace_id": made.id, "visibility": visibility}
        made.project = (await api.post(PROJECTS, json=body, headers=made.headers("ann"))).json()["data"]
        return made

    return make


async def test_n2_a_role_in_a_project_is_given_changed_and_taken(api, place, rows):
    there = await place()
    ann, bob, owner = (there.users[name] for name in ("ann", "bob", "owner"))
    await rows(
        "INSERT INTO tasks.person (id, display_name, email_verified, kind, status, version)"
        " VALUES (:id, 'Bob', true, 'human', 'active', 1)",
        id=bob,
    )
    assert (await there.read("bob")).status_code == 404
    put = await there.put("bob", "viewer")
    assert (put.status_code, put.headers["etag"], bool(put.headers["x-cursor"])) == (200, '"1"', True)
    shown = put.json()["data"]
    assert (shown["user_id"], shown["name"], shown["role"]) == (str(bob), "Bob", "viewer")
    assert (await there.read("bob")).json()["data"]["role"] == "viewer"
    assert (await there.put("bob", "viewer")).json()["data"] == shown
    changed = await there.put("bob", "editor")
    assert (changed.json()["data"]["role"], changed.json()["data"]["version"]) == ("editor", 2)
    listed = await api.get(there.path(), headers=there.headers("bob"))
    assert [(one["user_id"], one["name"], one["role"]) for one in listed.json()["data"]] == [
        (str(ann), None, "manager"),
        (str(bob), "Bob", "editor"),
    ]
    assert listed.json()["meta"]["total"] == 2
    assert (await there.remove("bob")).status_code == 200
    assert (await there.read("bob")).status_code == 404
    assert codes(await there.remove("bob")) == (404, [("NOT_FOUND", None)])
    found = await rows(LOG, id=there.project["id"])
    log = [(kind, version, set(audience), lost_by) for kind, version, _, audience, lost_by in found]
    assert log == [
        ("project_member.added.v1", 1, {owner, ann}, None),
        ("project_member.added.v1", 1, {owner, ann, bob}, None),
        ("project_member.updated.v1", 2, {owner, ann, bob}, None),
        ("project_member.removed.v1", 3, {owner, ann}, [bob]),
    ]


async def test_n2_a_guest_may_have_a_role_and_who_is_no_member_of_the_workspace_not(place):
    there = await place()
    assert (await there.put("guest", "commenter")).status_code == 200
    assert (await there.read("guest")).json()["data"]["role"] == "commenter"
    assert codes(await there.put("stranger", "viewer")) == (422, [("USER_NOT_FOUND", "user_id")])
    assert (await there.put("bob", "owner")).status_code == 422
    assert (await there.put("bob", "viewer", by="guest")).status_code == 403


async def test_n2_a_private_project_keeps_a_manager_and_an_open_one_need_not(place, rows):
    there = await place()
    assert codes(await there.remove("ann", by="owner")) == (409, [("LAST_MANAGER", None)])
    assert codes(await there.put("ann", "editor", by="owner")) == (409, [("LAST_MANAGER", None)])
    assert await rows(MEMBERS, id=there.project["id"]) == [(there.users["ann"], "manager")]
    await there.put("bob", "manager")
    assert (await there.put("ann", "editor", by="owner")).status_code == 200
    opened = await place("workspace")
    assert (await opened.remove("ann", by="owner")).status_code == 200
    assert await rows(MEMBERS, id=opened.project["id"]) == []


async def test_n2_of_two_managers_who_remove_each_other_at_once_one_stays(place, rows):
    for _ in range(10):
        there = await place()
        await there.put("bob", "manager")
        answers = await asyncio.gather(there.remove("bob", by="ann"), there.remove("ann", by="bob"))
        assert sorted(answer.status_code for answer in answers) in ([200, 404], [200, 409]), [a.text for a in answers]
        managers = await rows(MEMBERS, id=there.project["id"])
        assert [role for _, role in managers] == ["manager"]


async def test_n2_twenty_puts_at_once_make_one_membership_and_one_event(place, rows):
    there = await place()
    answers = await asyncio.gather(*(there.put("bob", "editor") for _ in range(20)))
    assert {(answer.status_code, answer.json()["data"]["version"]) for answer in answers} == {(200, 1)}
    assert [kind for kind, *_ in await rows(LOG, id=there.project["id"])] == ["project_member.added.v1"] * 2


async def test_f6_who_is_removed_from_a_project_has_nothing_left_in_it(api, place, rows):
    there = await place()
    await there.put("bob", "editor")
    await there.put("guest", "editor")
    body = {"title": "t", "project_id": there.project["id"], "assignees": [str(there.users["bob"])]}
    task = (await api.post("/api/v1/tasks", json=body, headers=there.headers("ann"))).json()["data"]
    shared = (await api.post("/api/v1/tasks", json=body, headers=there.headers("ann"))).json()["data"]
    await rows(
        "INSERT INTO tasks.task_share VALUES (uuidv7(), :w, :t, :u, 'viewer', :u, 1, now())",
        w=there.id,
        t=shared["id"],
        u=there.users["bob"],
    )
    await api.delete(f"/api/v1/tasks/{task['id']}", headers=there.headers("ann"))
    await there.remove("bob")
    left = "SELECT id::text, assigned_to, version FROM tasks.task WHERE project_id = :id ORDER BY id"
    assert await rows(left, id=there.project["id"]) == [
        (task["id"], None, 3),
        (shared["id"], there.users["bob"], 1),
    ]
    log = "SELECT type FROM tasks.change WHERE task_id = :id AND entity_type = 'task' ORDER BY seq"
    assert [kind for (kind,) in await rows(log, id=task["id"])] == [
        "task.created.v1",
        "task.deleted.v1",
        "task.updated.v1",
    ]
    watched = "SELECT task_id::text FROM tasks.watcher WHERE user_id = :id"
    assert await rows(watched, id=there.users["bob"]) == [(shared["id"],)]


async def test_f6_a_task_that_is_assigned_while_its_assignee_is_removed_is_not_theirs(api, place, rows):
    for _ in range(10):
        there = await place()
        await there.put("bob", "editor")
        body = {"title": "t", "project_id": there.project["id"], "assignees": [str(there.users["bob"])]}
        await asyncio.gather(
            there.remove("bob"),
            *(api.post("/api/v1/tasks", json=body, headers=there.headers("ann")) for _ in range(4)),
        )
        mine = "SELECT count(*) FROM tasks.task WHERE project_id = :id AND cardinality(assignees) > 0"
        assert await rows(mine, id=there.project["id"]) == [(0,)]


async def test_n2_removing_from_a_thousand_tasks_asks_as_often_as_from_one(place, rows, database):
    counts = []
    for number in (1, 300):
        there = await place()
        await there.put("bob", "editor")
        await rows(
            "INSERT INTO tasks.task (id, workspace_id, project_id, title, status, priority, assigned_to, assignees,"
            " created_by, version, created_at, updated_at) SELECT uuidv7(), :w, :p, 't', 'todo', 'none', :u,"
            " ARRAY[CAST(:u AS uuid)], :u, 1, now(), now() FROM generate_series(1, :number)",
            w=there.id,
            p=there.project["id"],
            u=there.users["bob"],
            number=number,
        )
        with statements_seen(database.writer) as seen:
            assert (await there.remove("bob")).status_code == 200
        left = "SELECT count(*) FROM tasks.task WHERE project_id = :id AND version = 2 AND assigned_to IS NULL"
        assert await rows(left, id=there.project["id"]) == [(number,)]
        counts.append(len(seen))
    assert counts[0] == counts[1]


async def test_n2_the_role_that_counts_is_the_highest_and_is_shown(api, place):
    made = await place("workspace")
    names = {str(user): name for name, user in made.users.items()}

    async def shown():
        listed = (await api.get(made.path(), headers=made.headers("ann"))).json()["data"]
        return {names[one["user_id"]]: (one["role"], one["effective_role"]) for one in listed}

    for name in ("owner", "bob", "guest"):
        put = (await made.put(name, "viewer")).json()["data"]
        assert (put["role"], put["effective_role"]) == (await shown())[name]
    assert await shown() == {
        "ann": ("manager", "manager"),
        "owner": ("viewer", "manager"),
        "bob": ("viewer", "editor"),
        "guest": ("viewer", "viewer"),
    }
    for change, role in (({"member_role": "commenter"}, "commenter"), ({"visibility": "private"}, "viewer")):
        path = f"{PROJECTS}/{made.project['id']}"
        assert (await api.patch(path, json=change, headers=made.headers("ann"))).status_code == 200
        assert ((await shown())["bob"], (await shown())["owner"]) == (("viewer", role), ("viewer", "manager"))
        assert (await made.read("bob")).json()["data"]["role"] == role
