"""The feed of changes (J4): what is gone for its reader, and that nothing else is told of it."""

import pytest
from chassis.ids import uuid7

CHANGES = "/api/v1/changes"


async def test_j4_deletions_are_told_with_what_they_were_about(roster, feed):
    task, label = await roster.task(title="gone"), None
    label = await roster.ok("owner", "POST", "/labels", {"workspace_id": str(roster.workspace_id), "name": "l"})
    cursor = await feed.start("member")
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")
    await roster.ok("owner", "DELETE", f"/labels/{label['id']}")
    trashed, unlabelled = await feed.all("member", cursor)
    assert feed.told([trashed, unlabelled]) == [
        ("task.deleted", task["id"], "deleted"),
        ("label.deleted", label["id"], "deleted"),
    ]
    assert (trashed["data"]["title"], trashed["data"]["deleted_at"] is not None) == ("gone", True)
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}?permanent=true")
    # What there is no more is not told of as it was.
    assert feed.told(await feed.all("member", cursor)) == [
        ("label.deleted", label["id"], "deleted"),
        ("task.purged", task["id"], "purged"),
    ]


async def test_j4_what_was_said_in_a_deleted_comment_is_not_told(roster, feed):
    task, cursor = await roster.task(), None
    cursor = await feed.start("member")
    comments = f"/tasks/{task['id']}/comments"
    gone = await roster.ok("owner", "POST", comments, {"body": "secret one"})
    await roster.ok("owner", "PATCH", f"{comments}/{gone['id']}", {"body": "secret two"})
    stays = await roster.ok("owner", "POST", comments, {"body": "for all"})
    assert (await feed.all("member", cursor))[0]["data"]["body"] == "secret one"
    await roster.ok("owner", "DELETE", f"{comments}/{gone['id']}")
    changes = await feed.all("member", cursor)
    assert "secret" not in str(changes)
    bodies = {(one["type"], one["subject"]): one["data"]["body"] for one in changes if "comment" in one["type"]}
    assert bodies == {
        ("comment.created", gone["id"]): None,
        ("comment.updated", gone["id"]): None,
        ("comment.created", stays["id"]): "for all",
        ("comment.deleted", gone["id"]): None,
    }


async def private_project(roster, who):
    body = {"name": "Private", "workspace_id": str(roster.workspace_id), "visibility": "private"}
    project = await roster.ok("owner", "POST", "/projects", body)
    added = await roster.ok("owner", "PUT", f"/projects/{project['id']}/members/{roster.id(who)}", {"role": "editor"})
    return project["id"], added


async def test_j4_what_is_seen_no_more_is_told_as_lost_and_nothing_else(roster, feed):
    project, _ = await private_project(roster, "member")
    old = await roster.task(title="old secret", project_id=project)
    cursor = await feed.start("member")
    await roster.ok("owner", "PATCH", f"/tasks/{old['id']}", {"title": "secret"})
    await roster.ok("owner", "PATCH", f"/tasks/{old['id']}", {"title": "secrets"})
    new = await roster.task(title="new secret", project_id=project)
    await roster.ok("owner", "POST", f"/tasks/{new['id']}/comments", {"body": "secret words"})
    assert len(await feed.all("member", cursor)) == 4
    await roster.ok("owner", "DELETE", f"/projects/{project}/members/{roster.id('member')}")
    await roster.task(title="a later secret", project_id=project)
    lost = await feed.all("member", cursor)
    assert [(one["type"], one["subject"] == old["id"], one["removed"]) for one in lost] == [
        ("task.updated", True, {"reason": "access_lost"}),
        ("project_member.removed", False, {"reason": "access_lost"}),
    ]
    assert [(one["data"], one["changes"], one["project_id"]) for one in lost] == [(None, [], project)] * 2
    assert "secret" not in str(lost)
    # The owner goes on to see it all.
    assert len(await feed.all("owner", cursor)) == 6


async def test_j4_a_project_that_becomes_private_is_lost_to_who_has_no_role_in_it(roster, feed):
    task = await roster.task(title="in the open")
    cursor = await feed.start("member")
    await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"visibility": "private"})
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "hidden"})
    project = str(roster.project_id)
    assert feed.told(await feed.all("member", cursor)) == [("project.updated", project, "access_lost")]
    assert ("task.updated", task["id"], None) in feed.told(await feed.all("editor", cursor))
    await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"visibility": "workspace"})
    again = await feed.all("member", cursor)
    assert feed.told(again) == [("project.updated", project, "access_lost"), ("project.updated", project, None)]


@pytest.mark.parametrize(("was", "becomes"), [("admin", "member"), ("admin", "guest"), ("member", "guest")])
async def test_j4_projects_that_are_not_seen_with_a_lower_role_are_lost(roster, feed, was, becomes):
    hidden, _ = await private_project(roster, "editor")
    kept, _ = await private_project(roster, was)
    trashed, _ = await private_project(roster, "editor")
    await roster.ok("owner", "DELETE", f"/projects/{trashed}")
    cursors = {who: await feed.start(who) for who in (was, "editor", "owner")}
    path = f"/workspaces/{roster.workspace_id}/members/{roster.id(was)}"
    await roster.ok("owner", "PATCH", path, {"role": becomes})
    lost = {*([hidden] if was == "admin" else []), *([str(roster.project_id)] if becomes == "guest" else [])}
    [own, *gone] = await feed.all(was, cursors[was])
    assert (own["type"], own["data"]["role"], "removed" in own) == ("member.updated", becomes, False)
    assert feed.told(gone) == [("project.updated", one, "access_lost") for one in sorted(lost)]
    assert [(one["data"], one["changes"], one["project_id"] in lost) for one in gone] == [(None, [], True)] * len(lost)
    assert [one["type"] for one in await feed.all("owner", cursors["owner"])] == ["member.updated"]
    assert await feed.all("editor", cursors["editor"]) == []
    await roster.ok("owner", "PATCH", path, {"role": was})
    again = await feed.all(was, cursors[was])
    assert feed.told(again)[-1] == ("member.updated", own["subject"], None)
    assert len(again) == len(gone) + 2
    assert kept not in str(again)


async def test_j4_a_share_that_ends_and_a_task_that_moves_away_are_lost(roster, feed):
    hidden, _ = await private_project(roster, "admin")
    shared = await roster.task(title="shared")
    await roster.ok("owner", "PUT", f"/tasks/{shared['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    moved = await roster.task(title="moves")
    cursor = await feed.start("guest")
    mine = await feed.start("member")
    await roster.ok("owner", "PATCH", f"/tasks/{shared['id']}", {"title": "shared still"})
    assert feed.told(await feed.all("guest", cursor)) == [("task.updated", shared["id"], None)]
    await roster.ok("owner", "DELETE", f"/tasks/{shared['id']}/shares/{roster.id('guest')}")
    await roster.ok("owner", "POST", f"/tasks/{moved['id']}/move", {"project_id": hidden})
    [gone, ended] = await feed.all("guest", cursor)
    assert feed.told([gone]) == [("task.updated", shared["id"], "access_lost")]
    assert (ended["type"], ended["task_id"], ended["removed"]) == (
        "task_share.removed",
        shared["id"],
        {"reason": "access_lost"},
    )
    [away] = [one for one in await feed.all("member", mine) if one["type"] == "task.moved"]
    assert (away["subject"], away["project_id"], away["data"], away["changes"], away["removed"]) == (
        moved["id"],
        str(roster.project_id),
        None,
        [],
        {"reason": "access_lost"},
    )


async def test_j4_a_project_with_a_shared_task_that_is_deleted_and_restored_is_told_to_who_it_is_shared_with(
    roster, feed
):
    """They see nothing of the project itself, so it is no more than that what they see of it is not as before."""
    place = {"workspace_id": str(roster.workspace_id)}
    project = (await roster.ok("owner", "POST", "/projects", {"name": "secret name", **place}))["id"]
    task = await roster.task(project_id=project)
    await roster.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    cursor = await feed.start("guest")
    await roster.ok("owner", "DELETE", f"/projects/{project}")
    await roster.ok("owner", "POST", f"/projects/{project}/restore")
    changes = await feed.all("guest", cursor)
    assert feed.told(changes) == [(f"project.{verb}", project, "access_lost") for verb in ("deleted", "restored")]
    assert "secret name" not in str(changes)
    await roster.ok("owner", "DELETE", f"/projects/{project}?permanent=true")
    assert feed.told(await feed.all("guest", cursor))[-1] == ("project.purged", project, "access_lost")
    assert {one[2] for one in feed.told(await feed.all("member", cursor))} == {"purged"}


async def test_j4_a_workspace_that_one_is_out_of_is_one_entry_and_leaves_the_cursor(roster, feed, signer):
    await roster.task(title="secret")
    cursor = await feed.start("member")
    await roster.task(title="another secret")
    removed = await roster.ok("owner", "GET", f"/workspaces/{roster.workspace_id}/members/{roster.id('member')}")
    await roster.ok("owner", "DELETE", f"/workspaces/{roster.workspace_id}/members/{roster.id('member')}")
    await roster.task(title="a third secret")
    page = await feed.page("member", cursor)
    [entry] = page["changes"]
    assert feed.told([entry]) == [("member.removed", removed["id"], "access_lost")]
    assert (entry["workspace_id"], entry["data"], entry["changes"]) == (str(roster.workspace_id), None, [])
    assert (signer.read_position(page["next_cursor"]), page["has_more"]) == ({}, False)
    assert signer.read_position(entry["cursor"]) == {}
    assert (await feed.page("member", page["next_cursor"]))["changes"] == []
    # It is not told to others, and is not there for who asks for other things.
    assert (await feed.page("member", cursor, types="task.*"))["changes"] == []
    assert (await feed.page("member", cursor, workspace_id=uuid7()))["changes"] == []


async def test_j4_several_workspaces_that_are_lost_come_page_by_page(roster, feed, rows, test_gateway, api):
    me, boss = uuid7(), test_gateway.headers(uuid7())
    places = []
    for name in ("A", "B", "C"):
        place = (await api.post("/api/v1/workspaces", json={"name": name}, headers=boss)).json()["data"]["id"]
        await rows("INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, 'member', 1, 1, now())", w=place, u=me)
        places.append(place)
    mine = test_gateway.headers(me)
    cursor = (await api.get(CHANGES, headers=mine)).json()["data"]["next_cursor"]
    for place in places:
        assert (await api.delete(f"/api/v1/workspaces/{place}", headers=boss)).status_code < 300
    found, more = [], True
    while more:
        page = (await api.get(CHANGES, params={"cursor": cursor, "limit": 1}, headers=mine)).json()["data"]
        found += page["changes"]
        cursor, more = page["next_cursor"], page["has_more"]
    assert [one["type"] for one in found] == ["member.removed"] * 3
    assert {one["workspace_id"] for one in found} == set(places)
