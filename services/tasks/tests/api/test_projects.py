"""Projects: making, changing and nesting them, and their prefixes."""

import asyncio

from chassis.ids import uuid7
from testkit.statements import statements_seen

PROJECTS = "/api/v1/projects"
LOG = "SELECT type, version FROM tasks.change WHERE entity_id = :id ORDER BY seq"
CHANGES = "SELECT changes FROM tasks.change WHERE entity_id = :id ORDER BY seq DESC LIMIT 1"


def codes(answer):
    return answer.status_code, [(one["code"], one["field"]) for one in answer.json()["errors"]]


async def test_c2_only_a_name_is_needed_and_the_project_is_the_callers(api, user, rows):
    headers = user()
    answer = await api.post(PROJECTS, json={"name": "  Garden work "}, headers=headers)
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert answer.headers["location"] == f"{PROJECTS}/{made['id']}"
    assert (answer.headers["etag"], bool(answer.headers["x-cursor"])) == ('"1"', True)
    shown = ("name", "prefix", "visibility", "member_role", "enforce_blockers", "role", "is_inbox", "parent_id")
    assert [made[name] for name in shown] == [
        "Garden work",
        "GARDE",
        "workspace",
        "editor",
        "off",
        "manager",
        False,
        None,
    ]
    read = await api.get(f"{PROJECTS}/{made['id']}", headers=headers)
    assert read.json()["data"] == made
    listed = (await api.get(PROJECTS, headers=headers)).json()["data"]
    assert [one["name"] for one in listed] == ["Inbox", "Garden work"]
    assert await rows(LOG, id=made["id"]) == [("project.created.v1", 1)]


async def test_c2_what_is_not_a_project_is_refused(api, user):
    headers = user()
    for body, code in (
        ({}, "REQUIRED"),
        ({"name": " "}, "TOO_SHORT"),
        ({"name": "x" * 201}, "TOO_LONG"),
        ({"name": "a", "prefix": "A"}, "INVALID_FORMAT"),
        ({"name": "a", "prefix": "ab"}, "INVALID_FORMAT"),
        ({"name": "a", "prefix": "1AB"}, "INVALID_FORMAT"),
        ({"name": "a", "prefix": "A" * 11}, "INVALID_FORMAT"),
        ({"name": "a", "visibility": "public"}, "NOT_ALLOWED"),
        ({"name": "a", "member_role": "manager"}, "NOT_ALLOWED"),
        ({"name": "a", "version": 1}, "READ_ONLY_FIELD"),
        ({"name": "a", "names": 1}, "UNKNOWN_FIELD"),
    ):
        answer = await api.post(PROJECTS, json=body, headers=headers)
        assert (answer.status_code, [one["code"] for one in answer.json()["errors"]]) == (422, [code]), body


async def test_n2_who_makes_a_project_manages_it_and_a_private_one_is_seen_by_its_members_alone(api, make_team):
    place = await make_team()
    opened = await place.project(by="ann")
    private = await place.project(by="ann", visibility="private")
    assert (opened["role"], private["role"]) == ("manager", "manager")
    assert (await place.get(opened, by="bob")).json()["data"]["role"] == "editor"
    assert (await place.get(private, by="owner")).json()["data"]["role"] == "manager"
    for project, name in ((private, "bob"), (private, "guest"), (opened, "guest"), (opened, "stranger")):
        assert (await place.get(project, by=name)).status_code == 404
    members = await api.get(f"{PROJECTS}/{private['id']}/members", headers=place.headers("ann"))
    assert [(one["user_id"], one["role"]) for one in members.json()["data"]] == [(str(place.users["ann"]), "manager")]
    by_owner = await place.project()
    members = await api.get(f"{PROJECTS}/{by_owner['id']}/members", headers=place.headers("ann"))
    assert members.json()["data"] == []


async def test_c2_projects_nest_three_deep_within_their_workspace(api, make_team, user):
    place = await make_team()
    first = await place.project()
    second = await place.project(parent_id=first["id"])
    third = await place.project(parent_id=second["id"])
    body = {"name": "x", "workspace_id": place.id, "parent_id": third["id"]}
    too_deep = await api.post(PROJECTS, json=body, headers=place.headers("owner"))
    assert codes(too_deep) == (422, [("TOO_DEEP", "parent_id")])
    assert codes(await place.patch(first, parent_id=third["id"])) == (422, [("CYCLE", "parent_id")])
    assert codes(await place.patch(first, parent_id=first["id"])) == (422, [("CYCLE", "parent_id")])
    other = await place.project()
    assert codes(await place.patch(first, parent_id=other["id"])) == (422, [("TOO_DEEP", "parent_id")])
    assert (await place.patch(second, parent_id=other["id"])).json()["data"]["parent_id"] == other["id"]
    headers = user()
    elsewhere = (await api.post(PROJECTS, json={"name": "mine"}, headers=headers)).json()["data"]
    hidden = await place.project(by="ann", visibility="private")
    for parent_id in (elsewhere["id"], str(uuid7())):
        assert codes(await place.patch(third, parent_id=parent_id)) == (422, [("PROJECT_NOT_FOUND", "parent_id")])
    own = await place.project(by="bob")
    assert codes(await place.patch(own, by="bob", parent_id=hidden["id"])) == (
        422,
        [("PROJECT_NOT_FOUND", "parent_id")],
    )
    within = await api.get(f"{PROJECTS}?parent_id={other['id']}", headers=place.headers("owner"))
    assert [one["id"] for one in within.json()["data"]] == [second["id"]]
    top = await api.get(f"{PROJECTS}?parent_id=none&workspace_id={place.id}", headers=place.headers("owner"))
    assert [one["id"] for one in top.json()["data"]] == [first["id"], other["id"], hidden["id"], own["id"]]
    assert (await place.patch(second, parent_id=None)).json()["data"]["parent_id"] is None


async def test_c2_two_projects_that_are_put_into_each_other_at_once_make_no_cycle(make_team):
    place = await make_team()
    for _ in range(10):
        one, two = await place.project(), await place.project()
        answers = await asyncio.gather(
            place.patch(one, parent_id=two["id"]),
            place.patch(two, parent_id=one["id"]),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 422]
        refused = next(answer for answer in answers if answer.status_code == 422)
        assert codes(refused) == (422, [("CYCLE", "parent_id")])


async def test_c2_a_private_project_in_an_open_one_stays_private(make_team):
    place = await make_team()
    parent = await place.project(by="ann")
    child = await place.project(by="ann", parent_id=parent["id"], visibility="private")
    assert (await place.get(parent, by="bob")).status_code == 200
    assert (await place.get(child, by="bob")).status_code == 404


async def test_r35_only_who_manages_a_project_puts_others_into_it(make_team):
    place = await make_team()
    parent, own = await place.project(by="ann"), await place.project(by="bob")
    assert codes(await place.patch(own, by="bob", parent_id=parent["id"])) == (403, [("FORBIDDEN", None)])
    assert (await place.patch(own, by="owner", parent_id=parent["id"])).status_code == 200


async def test_b3_twenty_projects_of_one_name_at_once_have_twenty_prefixes(make_team):
    place = await make_team()
    made = await asyncio.gather(*(place.project(name="Garden") for _ in range(20)))
    assert {one["prefix"] for one in made} == {"GARDE", *(f"GARDE{n}" for n in range(2, 21))}


async def test_b3_of_twenty_that_want_a_prefix_at_once_one_gets_it(api, make_team):
    place = await make_team()
    body = {"name": "Garden", "workspace_id": place.id, "prefix": "GARDE"}
    answers = await asyncio.gather(
        *(api.post(PROJECTS, json=body, headers=place.headers("owner")) for _ in range(10)),
        *(api.post(PROJECTS, json={**body, "prefix": None}, headers=place.headers("owner")) for _ in range(10)),
    )
    taken = [answer for answer in answers if answer.status_code == 409]
    prefixes = [answer.json()["data"]["prefix"] for answer in answers if answer.status_code == 201]
    assert len(prefixes) == len(set(prefixes)) == 20 - len(taken)
    assert "GARDE" in prefixes
    assert {str(codes(answer)) for answer in taken} <= {str((409, [("PREFIX_TAKEN", "prefix")]))}


async def test_b3_a_former_prefix_stays_the_projects_and_its_keys_still_lead_to_the_tasks(make_team, rows):
    place = await make_team()
    project = await place.project(prefix="OLD")
    tasks = [await place.task(project) for _ in range(3)]
    renamed = await place.patch(project, prefix="NEW")
    assert (renamed.status_code, renamed.json()["data"]["prefix"]) == (200, "NEW")
    aliases = "SELECT key, task_id::text FROM tasks.task_key_alias WHERE workspace_id = :id ORDER BY key"
    assert await rows(aliases, id=place.id) == [(f"OLD-{n}", task["id"]) for n, task in enumerate(tasks, start=1)]
    assert (await place.task(project))["key"] == "NEW-4"
    other = await place.project(prefix="OTHER")
    assert codes(await place.patch(other, prefix="OLD")) == (409, [("PREFIX_TAKEN", "prefix")])
    assert codes(await place.patch(other, prefix="NEW")) == (409, [("PREFIX_TAKEN", "prefix")])
    assert (await place.project(name="old"))["prefix"] == "OLD2"
    again = await place.patch(project, prefix="OLD")
    assert (again.status_code, again.json()["data"]["version"]) == (200, 3)
    elsewhere = await make_team()
    assert (await elsewhere.project(prefix="OLD"))["prefix"] == "OLD"


async def test_b3_a_derived_prefix_is_well_formed_whatever_the_name(rows):
    expected = {
        "Garden": "GARDE",
        "x": "XX",
        "": "PRJ",
        "Проект": "PRJ",
        "Über uns": "UBERU",
        "2026 plan": "P2026",
        "1": "P1",
        "日本": "PRJ",
        "a-b": "AB",
        "\U0001f600": "PRJ",
        "straße": "STRAE",
    }
    names = [*expected, *(f"{chr(n)}{chr(n * 7 % 0xD000 + 32)}" for n in range(32, 0x2000, 7))]
    found = await rows(
        "SELECT name, tasks.prefix_of_name(name) FROM unnest(CAST(:names AS text[])) AS name", names=names
    )
    assert {name: prefix for name, prefix in found if name in expected} == expected
    valid = "SELECT count(*) FROM unnest(CAST(:found AS text[])) p WHERE p COLLATE \"C\" !~ '^[A-Z][A-Z0-9]{1,4}$'"
    assert await rows(valid, found=[prefix for _, prefix in found]) == [(0,)]


async def test_r33_a_stale_change_is_refused_and_an_equal_one_is_none(api, make_team, rows):
    place = await make_team()
    project = await place.project()
    path = f"{PROJECTS}/{project['id']}"
    headers = place.headers("owner")
    for fields in ({}, {"name": "P"}, {"prefix": project["prefix"], "parent_id": None, "visibility": "workspace"}):
        same = await place.patch(project, **fields)
        assert (same.status_code, same.headers["etag"]) == (200, '"1"')
    changed = await api.patch(path, json={"name": "Q"}, headers={**headers, "if-match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    stale = await api.patch(path, json={"name": "R"}, headers={**headers, "if-match": '"1"'})
    assert codes(stale) == (412, [("VERSION_CONFLICT", "name")])
    merged = await api.patch(f"{path}?merge=fields", json={"description": "d"}, headers={**headers, "if-match": '"1"'})
    assert (merged.status_code, merged.json()["data"]["version"]) == (200, 3)
    await rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :id", id=place.id)
    assert codes(await place.patch(project, name="S")) == (428, [("IF_MATCH_REQUIRED", None)])
    assert await rows(LOG, id=project["id"]) == [
        ("project.created.v1", 1),
        ("project.updated.v1", 2),
        ("project.updated.v1", 3),
    ]
    assert await rows(CHANGES, id=project["id"]) == [([{"field": "description", "old": None, "new": "d"}],)]


async def test_c4_an_inbox_is_neither_moved_nor_made_private(api, user):
    headers = user()
    await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    inbox = (await api.get(PROJECTS, headers=headers)).json()["data"][0]
    other = (await api.post(PROJECTS, json={"name": "b"}, headers=headers)).json()["data"]
    for body in ({"parent_id": other["id"]}, {"visibility": "private"}):
        answer = await api.patch(f"{PROJECTS}/{inbox['id']}", json=body, headers=headers)
        assert codes(answer) == (409, [("INBOX_PROJECT", None)])
    named = await api.patch(f"{PROJECTS}/{inbox['id']}", json={"name": "In"}, headers=headers)
    assert named.json()["data"]["name"] == "In"


async def test_f6_who_sees_a_project_no_more_that_was_made_private_has_nothing_in_it(api, make_team, rows):
    place = await make_team()
    project = await place.project(by="ann")
    ids = {name: str(user_id) for name, user_id in place.users.items()}
    tasks = [await place.task(project) for _ in range(3)]
    await give(rows, place, tasks[0], ["bob", "ann"])
    await give(rows, place, tasks[1], ["bob"])
    await give(rows, place, tasks[2], ["ann"])
    before = await place.get(project, by="bob")
    answer = await place.patch(project, by="ann", visibility="private")
    assert (before.status_code, answer.status_code) == (200, 200)
    assert (await place.get(project, by="bob")).status_code == 404
    left = {}
    for task in tasks:
        shown = await api.get(f"/api/v1/tasks/{task['id']}", headers=place.headers("ann"))
        left[task["id"]] = (shown.json()["data"]["assigned_to"], shown.json()["data"]["assignees"])
    assert list(left.values()) == [(ids["ann"], [ids["ann"]]), (None, []), (ids["ann"], [ids["ann"]])]
    left = (
        "SELECT 'assignee', user_id FROM tasks.assignee WHERE workspace_id = :id"
        " UNION SELECT 'watcher', user_id FROM tasks.watcher WHERE workspace_id = :id"
        " UNION SELECT 'star', user_id FROM tasks.star WHERE workspace_id = :id"
    )
    found = set(await rows(left, id=place.id))
    assert found == {
        *((table, place.users["ann"]) for table in ("assignee", "watcher", "star")),
        ("watcher", place.users["owner"]),
    }
    log = "SELECT type, entity_id::text, audience::text[] FROM tasks.change WHERE workspace_id = :id ORDER BY seq"
    told = [(kind, one, set(audience)) for kind, one, audience in await rows(log, id=place.id)][-5:]
    readers = {ids["owner"], ids["ann"]}
    assert told == [
        ("project.updated.v1", project["id"], readers),
        ("task.updated.v1", tasks[0]["id"], readers),
        ("task.updated.v1", tasks[1]["id"], readers),
        ("watcher.removed.v1", told[3][1], readers),
        ("watcher.removed.v1", told[4][1], readers),
    ]
    lost = "SELECT type, lost_by::text[] FROM tasks.change WHERE workspace_id = :id AND lost_by IS NOT NULL"
    assert await rows(lost, id=place.id) == [("project.updated.v1", [ids["bob"]])]


async def give(rows, place, task, names):
    """Assign a task beside the API, and let who has it watch and star it."""
    users = [place.users[name] for name in names]
    await rows(
        "UPDATE tasks.task SET assignees = CAST(:users AS uuid[]), assigned_to = :first WHERE id = :id",
        users=users,
        first=users[0],
        id=task["id"],
    )
    for user in users:
        row = {"w": place.id, "t": task["id"], "u": user}
        await rows("INSERT INTO tasks.assignee VALUES (:w, :t, :u, 'pending', :u, now())", **row)
        await rows(
            "INSERT INTO tasks.watcher VALUES (:w, :t, :u, 'assigned', true, false, now()) ON CONFLICT DO NOTHING",
            **row,
        )
        await rows("INSERT INTO tasks.star VALUES (:w, :u, :t, now())", **row)


async def test_n2_a_project_that_is_made_private_without_a_manager_gets_who_did_it(api, make_team):
    place = await make_team()
    project = await place.project(by="owner")
    assert (await place.patch(project, visibility="private")).status_code == 200
    members = await api.get(f"{PROJECTS}/{project['id']}/members", headers=place.headers("owner"))
    assert [(one["user_id"], one["role"]) for one in members.json()["data"]] == [(str(place.users["owner"]), "manager")]


async def test_c2_a_workspace_has_so_many_projects(api, make_team, rows):
    place = await make_team()
    await rows(
        "INSERT INTO tasks.project"
        " (id, workspace_id, name, prefix, is_inbox, created_by, version, created_at, updated_at)"
        " SELECT uuidv7(), :id, 'x', 'X' || n, false, :owner, 1, now(), now() FROM generate_series(1, 999) n",
        id=place.id,
        owner=place.users["owner"],
    )
    body = {"name": "P", "workspace_id": place.id}
    answers = await asyncio.gather(*(api.post(PROJECTS, json=body, headers=place.headers("owner")) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert codes(max(answers, key=lambda one: one.status_code)) == (409, [("PROJECT_LIMIT_REACHED", None)])


async def test_c2_a_list_of_a_hundred_asks_as_often_as_one_of_one(api, make_team, database):
    place = await make_team()
    headers = place.headers("owner")
    counts = []
    for more in (1, 99):
        for _ in range(more):
            await place.project()
        with statements_seen(database.reader) as seen:
            listed = await api.get(f"{PROJECTS}?workspace_id={place.id}&per_page=100", headers=headers)
        counts.append((len(listed.json()["data"]), len(seen)))
    assert counts == [(1, 2), (100, 2)]


async def test_c2_a_new_project_in_another_is_seen_by_whom_the_other_says_unless_it_says_itself(make_team):
    place = await make_team()
    private, open_one = await place.project(visibility="private"), await place.project()
    assert (private["visibility"], open_one["visibility"]) == ("private", "workspace")
    below = await place.project(parent_id=private["id"])
    assert below["visibility"] == "private"
    assert (await place.get(below, by="ann")).status_code == 404
    assert (await place.project(parent_id=below["id"]))["visibility"] == "private"
    assert (await place.project(parent_id=open_one["id"]))["visibility"] == "workspace"
    said = await place.project(parent_id=private["id"], visibility="workspace")
    assert (said["visibility"], (await place.get(said, by="ann")).status_code) == ("workspace", 200)


async def test_c2_who_makes_a_project_private_by_where_it_is_manages_it(api, make_team):
    place = await make_team()
    private = await place.project(by="ann", visibility="private")
    below = await place.project(by="ann", parent_id=private["id"])
    assert (below["visibility"], below["role"]) == ("private", "manager")
    headers = place.headers("ann")
    (member,) = (await api.get(f"{PROJECTS}/{below['id']}/members", headers=headers)).json()["data"]
    assert (member["user_id"], member["role"]) == (str(place.users["ann"]), "manager")
