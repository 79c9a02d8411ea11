"""Archiving, deleting, restoring and purging projects, with all that is in them."""

import asyncio
from functools import partial

import pytest
from tasks_service import scheduler
from testkit.jobs import run_to_end

PROJECTS = "/api/v1/projects"
LOG = "SELECT type, version FROM tasks.change WHERE entity_id = :id ORDER BY seq"


def codes(answer):
    return answer.status_code, [(one["code"], one["field"]) for one in answer.json()["errors"]]


@pytest.fixture
def act(api):
    """Asks for something to happen to a project."""

    async def ask(place, project, what, by="owner", **headers):
        method, path = ("DELETE", "") if what.startswith("delete") else ("POST", f"/{what}")
        query = "?permanent=true" if what == "delete for good" else ""
        return await api.request(
            method, f"{PROJECTS}/{project['id']}{path}{query}", headers={**place.headers(by), **headers}
        )

    return ask


@pytest.fixture
def purge(database, settings):
    """Runs the job to its end; returns how many transactions that took."""
    return partial(run_to_end, database, scheduler.jobs(settings), "purge-projects")


@pytest.fixture
async def nested(make_team):
    """A project in a project in a project, with a task in the last."""
    place = await make_team()
    first = await place.project(name="first")
    second = await place.project(name="second", parent_id=first["id"])
    third = await place.project(name="third", parent_id=second["id"])
    return place, (first, second, third), await place.task(third)


async def test_c2_what_is_archived_takes_no_change_and_is_not_listed(api, nested, act, rows):
    place, (first, second, third), task = nested
    archived = await act(place, second, "archive")
    assert (archived.status_code, archived.headers["etag"]) == (200, '"2"')
    assert archived.json()["data"]["archived_at"] is not None
    headers = place.headers("owner")
    member = place.users["ann"]
    refused = [
        await place.patch(second, name="x"),
        await place.patch(third, name="x"),
        await act(place, third, "delete"),
        await api.put(f"{PROJECTS}/{third['id']}/members/{member}", json={"role": "viewer"}, headers=headers),
        await api.patch(f"/api/v1/tasks/{task['id']}", json={"title": "x"}, headers=headers),
        await api.post("/api/v1/tasks", json={"title": "x", "project_id": third["id"]}, headers=headers),
        await api.post(
            PROJECTS, json={"name": "x", "workspace_id": place.id, "parent_id": second["id"]}, headers=headers
        ),
        await place.patch(first, parent_id=second["id"]),
        await act(place, third, "unarchive"),
    ]
    answered = [codes(answer) for answer in refused]
    assert answered[7] == (422, [("CYCLE", "parent_id")])
    assert [*answered[:7], answered[8]] == [(409, [("PROJECT_ARCHIVED", None)])] * 8
    listed = f"{PROJECTS}?workspace_id={place.id}"
    shown = (await api.get(listed, headers=headers)).json()
    assert ([one["id"] for one in shown["data"]], shown["meta"]["total"]) == ([first["id"]], 1)
    everything = (await api.get(f"{listed}&archived=true", headers=headers)).json()["data"]
    assert [one["id"] for one in everything] == [first["id"], second["id"], third["id"]]
    assert (await api.get(f"/api/v1/tasks/{task['id']}", headers=headers)).status_code == 200
    again = await act(place, second, "archive")
    assert again.json()["data"] == archived.json()["data"]
    assert await rows(LOG, id=third["id"]) == [("project.created.v1", 1), ("project.updated.v1", 2)]
    back = await act(place, second, "unarchive")
    assert (back.status_code, back.json()["data"]["archived_at"]) == (200, None)
    assert (await place.get(third)).json()["data"]["archived_at"] is not None
    assert (await act(place, third, "unarchive")).status_code == 200
    assert (await act(place, third, "unarchive")).headers["etag"] == '"3"'
    assert (await place.patch(third, name="x")).status_code == 200


async def test_c2_twenty_who_archive_at_once_make_one_change(nested, act, rows):
    place, (first, *_), _ = nested
    answers = await asyncio.gather(*(act(place, first, "archive") for _ in range(20)))
    assert {(answer.status_code, answer.headers["etag"]) for answer in answers} == {(200, '"2"')}
    assert await rows(LOG, id=first["id"]) == [("project.created.v1", 1), ("project.updated.v1", 2)]


async def test_c2_a_project_that_is_made_in_one_that_is_being_archived_is_archived_or_refused(
    make_team, act, api, rows
):
    place = await make_team()
    for _ in range(10):
        parent = await place.project()
        body = {"name": "x", "workspace_id": place.id, "parent_id": parent["id"]}
        await asyncio.gather(
            act(place, parent, "archive"),
            *(api.post(PROJECTS, json=body, headers=place.headers("owner")) for _ in range(3)),
        )
        open_ones = "SELECT count(*) FROM tasks.project WHERE parent_id = :id AND archived_at IS NULL"
        assert await rows(open_ones, id=parent["id"]) == [(0,)]


async def test_c2_a_deleted_project_is_not_seen_with_all_that_is_in_it_and_comes_back(api, nested, act, rows):
    place, (first, second, third), task = nested
    headers = place.headers("owner")
    stale = await act(place, second, "delete", **{"if-match": '"7"'})
    assert stale.status_code == 412
    gone = await act(place, second, "delete")
    assert (gone.status_code, gone.json()["data"]["version"]) == (200, 2)
    assert gone.json()["data"]["deleted_at"] is not None
    for path in (f"{PROJECTS}/{second['id']}", f"{PROJECTS}/{third['id']}", f"/api/v1/tasks/{task['id']}"):
        assert (await api.get(path, headers=headers)).status_code == 404
    assert (await act(place, second, "delete")).status_code == 404
    assert (await act(place, first, "restore")).status_code == 404
    assert (await act(place, second, "restore", by="ann")).status_code == 403
    assert (await act(place, second, "restore", by="stranger")).status_code == 404
    back = await act(place, second, "restore")
    assert (back.status_code, back.json()["data"]["deleted_at"], back.json()["data"]["parent_id"]) == (
        200,
        None,
        first["id"],
    )
    assert (await api.get(f"/api/v1/tasks/{task['id']}", headers=headers)).json()["data"] == task
    log = [("project.created.v1", 1), ("project.deleted.v1", 2), ("project.restored.v1", 3)]
    assert await rows(LOG, id=second["id"]) == await rows(LOG, id=third["id"]) == log
    minimal = await act(place, second, "delete", prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (204, b"")


async def listed(api, place, by="owner"):
    answer = (await api.get("/api/v1/trash", headers=place.headers(by))).json()
    assert answer["meta"]["total"] == len(answer["data"])
    return [one["title"] for one in answer["data"]]


async def test_b13_the_trash_lists_a_project_alone_and_not_what_is_in_it(api, nested, act):
    place, (first, second, third), _ = nested
    await act(place, third, "delete")
    assert await listed(api, place) == ["third"]
    await act(place, first, "delete")
    assert await listed(api, place) == ["first"]
    # What is restored alone is in no project, and leaves the other one as it is.
    back = await act(place, second, "restore")
    assert (back.status_code, back.json()["data"]["parent_id"]) == (200, None)
    assert await listed(api, place) == ["first", "third"]
    assert (await act(place, first, "restore")).status_code == 200
    assert await listed(api, place) == ["third"]
    assert (await place.get(second)).json()["data"]["parent_id"] is None


async def test_b13_who_does_not_see_the_project_in_the_trash_finds_what_is_in_it(api, nested, act):
    place, (first, second, _), _ = nested
    await place.patch(second, visibility="private")
    await act(place, first, "delete")
    assert await listed(api, place) == await listed(api, place, by="ann") == ["first"]
    await act(place, first, "restore")
    await place.patch(first, visibility="private")
    await act(place, first, "delete")
    assert await listed(api, place) == ["first"]
    assert await listed(api, place, by="ann") == ["third"]


async def test_c2_what_was_in_the_trash_before_stays_there_and_what_has_lost_its_parent_has_none(nested, act):
    place, (first, second, third), _ = nested
    await act(place, third, "delete")
    await act(place, first, "delete")
    assert (await act(place, first, "restore")).status_code == 200
    assert (await place.get(second)).status_code == 200
    assert (await place.get(third)).status_code == 404
    assert (await act(place, third, "restore")).json()["data"]["parent_id"] == second["id"]
    await act(place, third, "delete")
    await act(place, second, "delete")
    assert (await act(place, third, "restore")).json()["data"]["parent_id"] is None
    await act(place, second, "restore")
    await act(place, second, "delete")
    await act(place, first, "archive")
    assert codes(await act(place, second, "restore")) == (409, [("PROJECT_ARCHIVED", None)])


async def test_r35_who_does_not_manage_what_is_in_a_project_neither_archives_nor_deletes_it(make_team, act, rows):
    place = await make_team()
    parent = await place.project(by="ann")
    child = await place.project(by="bob", visibility="private")
    assert (await place.patch(child, parent_id=parent["id"])).status_code == 200
    before = [await rows(LOG, id=project["id"]) for project in (parent, child)]
    for what in ("archive", "delete", "delete for good"):
        assert codes(await act(place, parent, what, by="ann")) == (403, [("FORBIDDEN", None)])
    assert [await rows(LOG, id=project["id"]) for project in (parent, child)] == before
    assert (await act(place, parent, "delete", by="owner")).status_code == 200


async def test_c4_an_inbox_is_neither_archived_nor_deleted(api, user):
    headers = user()
    await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    path = f"{PROJECTS}/{(await api.get(PROJECTS, headers=headers)).json()['data'][0]['id']}"
    for method, tail in (("POST", "/archive"), ("POST", "/unarchive"), ("DELETE", ""), ("DELETE", "?permanent=true")):
        assert codes(await api.request(method, path + tail, headers=headers)) == (409, [("INBOX_PROJECT", None)])


async def test_c2_what_is_deleted_for_good_is_gone_and_its_rows_follow(api, nested, act, rows, purge):
    place, (first, second, third), task = nested
    body = {"title": "below", "project_id": third["id"], "parent_id": task["id"]}
    await api.post("/api/v1/tasks", json=body, headers=place.headers("owner"))
    await act(place, third, "delete")
    assert (await act(place, second, "delete for good", by="ann")).status_code == 403
    assert (await act(place, second, "delete for good")).status_code == 200
    assert (await act(place, second, "restore")).status_code == 404
    assert (await act(place, third, "restore")).status_code == 404
    assert (await act(place, second, "delete for good")).status_code == 404
    assert await rows(LOG, id=third["id"]) == [
        ("project.created.v1", 1),
        ("project.deleted.v1", 2),
        ("project.purged.v1", 3),
    ]
    await purge()
    left = "SELECT name FROM tasks.project WHERE workspace_id = :id"
    assert await rows(left, id=place.id) == [("first",)]
    assert await rows("SELECT count(*) FROM tasks.task WHERE workspace_id = :id", id=place.id) == [(0,)]
    assert await rows(LOG, id=task["id"]) == [
        ("task.created.v1", 1),
        ("task.updated.v1", 2),
        ("task.purged.v1", 3),
    ]
    assert (await act(place, first, "delete for good")).status_code == 200
    again = await place.project(name="third")
    assert again["prefix"] == "THIRD2"


async def test_c2_the_trash_is_emptied_after_thirty_days_a_thousand_tasks_at_a_time(make_team, act, rows, purge):
    place = await make_team()
    old, new = await place.project(name="old"), await place.project(name="new")
    for project in (old, new):
        await rows(
            "INSERT INTO tasks.task (id, workspace_id, project_id, title, status, priority, created_by, version,"
            " created_at, updated_at) SELECT uuidv7(), :w, :p, 't', 'todo', 'none', :u, 1, now(), now()"
            " FROM generate_series(1, 1500)",
            w=place.id,
            p=project["id"],
            u=place.users["owner"],
        )
        await act(place, project, "delete")
    # What other tests have left.
    await purge()
    await rows("UPDATE tasks.project SET deleted_at = now() - interval '31 days' WHERE id = :id", id=old["id"])
    await rows("UPDATE tasks.project SET deleted_at = now() - interval '29 days' WHERE id = :id", id=new["id"])
    assert await purge() == 4
    assert await rows("SELECT name FROM tasks.project WHERE workspace_id = :id", id=place.id) == [("new",)]
    count = "SELECT type, count(*) FROM tasks.change WHERE project_id = :id GROUP BY type ORDER BY type"
    assert await rows(count, id=old["id"]) == [
        ("project.created.v1", 1),
        ("project.deleted.v1", 1),
        ("project.purged.v1", 1),
        ("task.purged.v1", 1500),
    ]
    assert (await act(place, new, "restore")).status_code == 200
