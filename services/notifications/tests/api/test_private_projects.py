"""Private projects, roles in them and single shares: live by the audience, and on a replay by what is seen now."""

import json
from pathlib import Path

import pytest
from chassis.ids import uuid7
from notifications_service.live.consumers import NOUNS
from notifications_service.live.repository import comments_deleted

REGISTRY = Path(__file__).parents[4] / "contracts" / "events" / "tasks"


@pytest.fixture
def project():
    return uuid7()


@pytest.fixture
async def crew(world, feed, project):
    """Ann has a role in the private project, Bob has not, Gus is a guest; the owner manages it."""
    ann, bob, gus, owner = (uuid7() for _ in range(4))
    await feed.keep(
        world.joins(owner, role="owner"),
        world.joins(ann),
        world.joins(bob),
        world.joins(gus, role="guest"),
        world.project(project, visibility="private", audience=[owner, ann]),
        world.role_in(project, ann, audience=[owner, ann]),
    )
    return {"ann": ann, "bob": bob, "gus": gus, "owner": owner}


async def replayed(service, signer, world, user, *, count):
    """Read everything from the beginning; return the titles of tasks and the types of all else."""
    async with service.reading(user, signer.position({world.id: 0})) as reader:
        frames = await reader.frames(count)
        assert await reader.is_idle()
    return [frame["data"].get("title", frame["type"]) for frame in frames if frame["type"] != "member.added"]


async def test_f6_who_is_out_of_a_private_project_is_replayed_nothing_of_it(
    service, world, feed, signer, project, crew
):
    inside = world.task("inside", project_id=str(project), audience=[crew["owner"], crew["ann"]])
    await feed.keep(inside)
    ours = ["project.updated", "project_member.added", "inside"]
    assert await replayed(service, signer, world, crew["ann"], count=6) == ours
    assert await replayed(service, signer, world, crew["owner"], count=7) == ours
    assert await replayed(service, signer, world, crew["bob"], count=2) == []
    out = world.role_in(project, crew["ann"], "removed", audience=[crew["owner"], crew["ann"]])
    await feed.keep(out, world.task("after", project_id=str(project), audience=[crew["owner"]]))
    assert await replayed(service, signer, world, crew["ann"], count=4) == ["project_member.removed"]
    assert (await replayed(service, signer, world, crew["owner"], count=9))[-1] == "after"


async def test_f6_an_open_socket_goes_on_by_the_audience_and_says_what_ended(service, world, feed, project, crew):
    both = [crew["owner"], crew["ann"]]
    async with service.reading(crew["ann"]) as reader:
        await feed.keep(
            world.task("a", project_id=str(project), audience=both),
            world.role_in(project, crew["ann"], "removed", audience=both),
            world.task("b", project_id=str(project), audience=[crew["owner"]]),
        )
        assert [frame["type"] for frame in await reader.frames(2)] == ["task.created", "project_member.removed"]
        assert await reader.is_idle()


@pytest.mark.parametrize("is_late", [False, True])
async def test_f6_who_loses_a_task_by_its_move_is_told_that_it_is_gone_and_not_where(
    service, world, feed, signer, project, crew, is_late
):
    """As it happens, and on a replay."""
    old = uuid7()
    here = [crew["owner"], crew["ann"], crew["bob"]]
    await feed.keep(world.project(old, audience=here))
    moved = [
        world.task(
            "secret",
            "task.moved.v1",
            project_id=str(project),
            changes=[{"field": "project_id", "old": str(old), "new": str(project)}],
            audience=[crew["owner"], crew["ann"]],
            lost_by=[str(crew["bob"])],
        )
        for _ in range(2)
    ]
    if is_late:
        beginning = signer.position({world.id: moved[0].sequence - 1})
        await feed.keep(*moved)
    readers = {}
    for name in ("ann", "bob", "gus"):
        cursor = beginning if is_late else None
        readers[name] = await service.open(crew[name], cursor)
        await readers[name].ready()
    if not is_late:
        await feed.keep(*moved)
    for event in moved:
        seen, gone = await readers["ann"].frame(), await readers["bob"].frame()
        assert (seen["project_id"], seen["data"]["title"], "removed" in seen) == (str(project), "secret", False)
        assert (gone["type"], gone["task_id"], gone["subject"]) == ("task.moved", seen["task_id"], seen["task_id"])
        assert (gone["project_id"], gone["removed"]) == (str(old), {"reason": "access_lost"})
        assert (gone["data"], gone["changes"], gone["seq"]) == (None, [], event.sequence)
        assert str(project) not in json.dumps(gone)
    for reader in readers.values():
        assert await reader.is_idle()
        await reader.socket.close()


async def test_n4_a_guest_is_replayed_what_is_shared_and_nothing_else(service, world, feed, signer, crew):
    """Of a project that is open to the members, too."""
    project = uuid7()
    everybody = list(crew.values())
    opened = world.project(project, audience=[crew["owner"], crew["ann"], crew["bob"]])
    shared = world.task("shared", project_id=str(project), audience=everybody)
    task_id = shared.data["task_id"]
    await feed.keep(
        opened,
        shared,
        world.task("wrongly addressed", project_id=str(project), audience=everybody),
        world.share(task_id, crew["gus"], project_id=str(project), audience=[crew["owner"], crew["gus"]]),
    )
    assert await replayed(service, signer, world, crew["gus"], count=3) == ["shared", "task_share.added"]
    assert await replayed(service, signer, world, crew["bob"], count=5) == [
        "project.updated",
        "shared",
        "wrongly addressed",
    ]
    await feed.keep(
        world.share(task_id, crew["gus"], "removed", project_id=str(project), audience=[crew["owner"], crew["gus"]])
    )
    assert await replayed(service, signer, world, crew["gus"], count=2) == ["task_share.removed"]


async def test_n2_a_project_that_is_made_private_and_open_again(service, world, feed, signer, crew):
    project = uuid7()
    members = [crew["owner"], crew["ann"], crew["bob"]]
    opened = world.project(project, audience=members)
    await feed.keep(opened, world.task("a", project_id=str(project), audience=members))
    assert (await replayed(service, signer, world, crew["bob"], count=4)) == ["project.updated", "a"]
    await feed.keep(world.project(project, visibility="private", audience=members))
    assert (await replayed(service, signer, world, crew["bob"], count=2)) == []
    await feed.keep(world.project(project, audience=members))
    assert (await replayed(service, signer, world, crew["bob"], count=6)) == [
        "project.updated",
        "a",
        "project.updated",
        "project.updated",
    ]


async def test_r48_an_older_state_of_a_project_or_share_never_wins(world, feed, rows, project):
    user = uuid7()
    first, second = world.project(project, visibility="private"), world.project(project)
    given, taken = world.share(str(project), user), world.share(str(project), user, "removed")
    entered, left = world.role_in(project, user), world.role_in(project, user, "removed")
    await feed.keep(second, first, taken, given, left, entered)
    assert await rows("SELECT is_private FROM notifications.project_place WHERE project_id = :p", p=project) == [
        (False,)
    ]
    assert await rows("SELECT removed FROM notifications.task_share WHERE user_id = :u", u=user) == [(True,)]
    assert await rows("SELECT removed FROM notifications.project_member WHERE user_id = :u", u=user) == [(True,)]


@pytest.mark.parametrize("is_near", [True, False])
async def test_b8_a_relation_is_replayed_to_who_sees_both_ends_now(
    service, world, feed, signer, project, crew, is_near
):
    opened, task = uuid7(), str(uuid7())
    both = [crew["owner"], crew["ann"]]
    places, tasks = ((opened, project), (str(uuid7()), task)) if is_near else ((project, opened), (task, str(uuid7())))
    await feed.keep(world.project(opened, audience=both), world.relation(*places, tasks=tasks, audience=both))
    assert (await replayed(service, signer, world, crew["ann"], count=7))[-1] == "relation.created"
    await feed.keep(world.role_in(project, crew["ann"], "removed", audience=both))
    ended = ["project.updated", "project_member.removed"]
    assert await replayed(service, signer, world, crew["ann"], count=5) == ended
    assert "relation.created" in await replayed(service, signer, world, crew["owner"], count=9)
    await feed.keep(world.share(task, crew["ann"], project_id=str(project), audience=both))
    found = await replayed(service, signer, world, crew["ann"], count=7)
    assert found == ["project.updated", "relation.created", "project_member.removed", "task_share.added"]


def test_k7_every_event_of_the_tasks_service_is_taken_in():
    """One that is not would be a gap in its workspace's log, behind which readers see nothing."""
    schemas = [json.loads(path.read_text()) for path in REGISTRY.glob("*.schema.json")]
    nouns = {schema["properties"]["data"]["properties"]["entity_type"]["const"] for schema in schemas}
    types = {schema["properties"]["type"]["const"].partition(".")[0] for schema in schemas}
    assert nouns == types
    # Over an outbox of its own, to whoever sends mail.
    nouns -= {"invitation_mail"}
    assert nouns <= set(NOUNS)


async def test_b9_the_words_of_a_deleted_comment_are_not_replayed(service, world, feed, signer):
    ann, gone, stays = uuid7(), str(uuid7()), str(uuid7())

    def said(comment, verb, old, new):
        told = [] if verb == "deleted" else [{"field": "body", "old": old, "new": new}]
        changes = [*told, {"field": "edited_at", "old": None, "new": None}]
        resource = {"id": comment, "body": new}
        return world.event(f"comment.{verb}.v1", entity_type="comment", resource=resource, changes=changes)

    await feed.keep(world.joins(ann), said(gone, "created", None, "a"), said(stays, "created", None, "b"))
    await feed.keep(said(gone, "updated", "a", "c"), said(gone, "deleted", "c", None), said(stays, "updated", "b", "d"))
    async with service.reading(ann, signer.position({world.id: 1})) as reader:
        frames = await reader.frames(5)
    shown = [(one["subject"], one["data"]["body"], [two["new"] for two in one["changes"]]) for one in frames]
    assert shown == [
        (gone, None, [None]),
        (stays, "b", ["b", None]),
        (gone, None, [None]),
        (gone, None, [None]),
        (stays, "d", ["d", None]),
    ]


@pytest.mark.parametrize("kind", ["project_member", "task_share"])
async def test_j4_of_the_end_of_ones_part_one_is_told_that_access_is_lost(
    service, world, feed, signer, crew, project, kind
):
    """At once and on a replay, and the others what has ended."""
    task = str(uuid7())
    async with service.reading(crew["ann"]) as ann, service.reading(crew["owner"]) as owner:
        about = {"audience": [crew["owner"]], "lost_by": [str(crew["ann"])], "project_id": str(project)}
        ended = {
            "project_member": lambda: world.role_in(project, crew["ann"], "removed", **about),
            "task_share": lambda: world.share(task, crew["ann"], "removed", **about),
        }[kind]()
        before = world.seq - 1
        await feed.keep(ended)
        told, shown = await ann.frame(), await owner.frame()
    async with service.reading(crew["ann"], signer.position({world.id: before})) as again:
        replayed = await again.frame()
    assert replayed == told
    for frame in (told, shown):
        assert (frame["type"], frame["project_id"]) == (f"{kind}.removed", str(project))
    assert (told["data"], told["changes"], told["removed"]) == (None, [], {"reason": "access_lost"})
    assert (shown["data"]["user_id"], "removed" in shown) == (str(crew["ann"]), False)


MANY_EVENTS = """
    INSERT INTO notifications.stream_event (workspace_id, seq, type, audience, frame, occurred_at)
    SELECT :w, n, CASE WHEN n % 10 = 0 THEN 'comment.deleted.v1' ELSE 'task.updated.v1' END, '{}',
        jsonb_build_object('subject', 'comment ' || n), now()
    FROM generate_series(1, 20000) AS n
"""


async def test_b9_what_is_deleted_of_a_long_past_is_found_by_an_index(planned, world, rows):
    """However much has happened since: each part of a replay asks."""
    await rows(MANY_EVENTS, w=world.id)
    await rows("ANALYZE notifications.stream_event")
    comments = [f"comment {n}" for n in range(1, 200)]
    gone, plan = await planned(lambda reader: comments_deleted(reader, comments, workspace_id=world.id, after=50))
    assert gone == {f"comment {n}" for n in range(60, 200, 10)}
    assert "Index Scan using ix_stream_event_comment_deleted" in plan
    assert "Index Cond: ((workspace_id = $1) AND ((frame ->> 'subject'::text) = ANY ($3)))" in plan
