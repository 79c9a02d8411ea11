"""What was deleted for good: who comes back is told that it is gone, as in the feed, and nothing of what it was."""

import json

import pytest
from chassis.ids import uuid7
from notifications_service.live.repository import purged_among

SECRET, END = "secret", "end"


class Garden:
    """Two projects that Ann sees, with tasks that are told of in full."""

    def __init__(self, world, signer):
        self.world, self.signer = world, signer
        self.ann, self.project, self.other = uuid7(), uuid7(), uuid7()
        self.lasting = None
        """The project of what is last; None for what all of the workspace see."""

    def cursor(self, seq=None):
        """Return a cursor of after an event of the workspace, or of now."""
        return self.signer.position({self.world.id: self.world.seq if seq is None else seq})

    def task(self, verb="created", *, task=None, title=SECRET, old=(), project=None, **told):
        place = str(project or self.project)
        name = task or str(uuid7())
        fields = {"priority": "none", "assignees": [], "created_by": str(uuid7())} | told
        resource = {"id": name, "title": title, "project_id": place, **fields}
        changes = [{"field": field, "old": value, "new": resource[field]} for field, value in dict(old).items()]
        about = self.of(name, place, changes)
        return self.world.event(f"task.{verb}.v1", entity_type="task", resource=resource, **about)

    def comment(self, task, project=None, **told):
        resource = {"id": str(uuid7()), "task_id": task, "body": SECRET, **told}
        about = self.of(task, str(project or self.project), [])
        return self.world.event("comment.created.v1", entity_type="comment", resource=resource, **about)

    def relation(self, task, other):
        return self.world.relation(self.project, self.project, tasks=(other, task))

    def taken_off(self, event):
        """Return that a relation or comment was deleted, as it was when an event told of it."""
        noun = event.data["entity_type"]
        about = {name: event.data[name] for name in ("resource", "task_id", "project_id")}
        return self.world.event(f"{noun}.deleted.v1", entity_type=noun, **about)

    def purge(self, project):
        resource = {"id": str(project), "name": SECRET, "visibility": "workspace"}
        return self.world.event(
            "project.purged.v1", entity_type="project", resource=resource, project_id=str(project), version=2
        )

    def end(self):
        """Return a task that whoever is here sees, whatever they ask for."""
        event = self.task(title=END, project=self.lasting, priority="high", assignees=[str(self.ann)])
        event.data["project_id"] = event.data["project_id"] if self.lasting else None
        return event

    def of(self, task, project, changes):
        return {"task_id": task, "project_id": project, "changes": changes}


@pytest.fixture
async def garden(world, feed, signer):
    found = Garden(world, signer)
    await feed.keep(world.joins(found.ann), world.joins(uuid7()))
    await feed.keep(world.project(found.project), world.project(found.other))
    return found


@pytest.fixture
def replayed(service, garden, feed):
    """Returns all that somebody gets who comes with a cursor, which a task at the end of everything shows."""

    async def replayed(cursor, *, user=None, **options):
        await feed.keep(garden.end())
        async with service.reading(user or garden.ann, cursor, **options) as reader:
            frames = await reader.until_seq(garden.world.seq)
        return [one for one in frames if (one["data"] or {}).get("title") != END]

    return replayed


def told(frames):
    return [(one["type"], one["subject"], (one.get("removed") or {}).get("reason")) for one in frames]


def is_empty(frame):
    return (frame["data"], frame["changes"]) == (None, [])


async def test_j4_of_a_task_that_is_gone_for_good_no_former_event_is_replayed(replayed, garden, feed):
    gone, stays = str(uuid7()), str(uuid7())
    start = garden.cursor()
    await feed.keep(
        garden.task(task=gone),
        garden.task(task=stays, title="Sow"),
        garden.comment(gone),
        garden.relation(gone, stays),
        garden.task("updated", task=gone, old={"title": "secret before"}),
        garden.task("deleted", task=gone),
    )
    before = await replayed(start)
    assert len(before) == 6
    await feed.keep(garden.task("purged", task=gone, title="last"))
    frames = await replayed(start)
    assert told(frames) == [("task.created", stays, None), ("task.purged", gone, "purged")]
    assert SECRET not in json.dumps(frames)
    # As in the feed.
    assert frames[1]["data"]["title"] == "last"
    assert await replayed(frames[1]["cursor"]) == []


async def test_j4_a_purge_that_comes_before_what_it_is_of_hides_it_all_the_same(replayed, garden, feed):
    gone = str(uuid7())
    start = garden.cursor()
    former = [garden.task(task=gone), garden.comment(gone)]
    purged = garden.task("purged", task=gone, title="last")
    await feed.keep(purged)
    await feed.keep(former[1])
    await feed.keep(former[0])
    await feed.put(*former, purged)
    late = garden.comment(gone)
    await feed.keep(late)
    assert told(await replayed(start)) == [("task.purged", gone, "purged")]


async def test_j4_of_a_project_that_is_gone_for_good_only_that_is_replayed(replayed, garden, feed):
    gone, away = str(uuid7()), str(uuid7())
    start = garden.cursor()
    await feed.keep(
        garden.task(task=gone),
        garden.world.project(garden.project),
        garden.world.role_in(garden.project, uuid7()),
        garden.task(task=away, title="here"),
        garden.task("moved", task=away, title="there", project=garden.other, old={"project_id": str(garden.project)}),
        garden.purge(garden.project),
        garden.task("purged", task=gone),
    )
    frames = await replayed(start)
    assert told(frames) == [
        ("task.moved", away, None),
        ("project.purged", str(garden.project), "purged"),
        ("task.purged", gone, "purged"),
    ]
    assert [is_empty(frame) for frame in frames] == [False, True, True]
    assert SECRET not in json.dumps(frames)


async def test_j4_of_what_is_gone_for_good_others_are_told_no_more_than_that(replayed, garden, feed, world):
    """Whoever saw it by a share alone, or has lost sight of its project since, and whoever was told it is lost."""
    guest, former = uuid7(), uuid7()
    gone = str(uuid7())
    await feed.keep(world.joins(guest, role="guest"), world.joins(former, role="guest"))
    await feed.keep(world.role_in(garden.project, former), world.share(gone, guest, project_id=str(garden.project)))
    start = garden.cursor()
    moved = garden.task("moved", task=gone, old={"project_id": str(garden.other)})
    moved.data["lost_by"] = [str(former)]
    moved.data["audience"] = [str(garden.ann), str(guest)]
    await feed.keep(garden.task(task=gone), moved, garden.task("purged", task=gone))
    await feed.keep(world.role_in(garden.project, former, "removed", audience=[]))
    assert told(await replayed(start, user=guest)) == [("task.purged", gone, "purged")]
    seen = await replayed(start, user=former)
    assert told(seen) == [("task.moved", gone, "access_lost"), ("task.purged", gone, "purged")]
    assert seen[0]["project_id"] == str(garden.other)
    assert all(is_empty(one) for one in [*seen, *await replayed(start, user=guest)])


async def test_j4_what_leaves_a_part_that_is_asked_for_and_is_purged_elsewhere_is_told_to_be_gone(
    replayed, garden, feed
):
    """Or else who asks for that part alone would keep it for ever, since the end is told of another part."""
    gone, ann = str(uuid7()), str(garden.ann)
    garden.lasting = garden.project
    await feed.keep(garden.task(task=gone, priority="high", assignees=[ann]))
    start = garden.cursor()
    watching = {"id": str(uuid7()), "task_id": gone, "user_id": ann}
    about = garden.of(gone, str(garden.project), [])
    await feed.keep(
        garden.comment(gone),
        garden.world.event("watcher.removed.v1", entity_type="watcher", resource=watching, **about),
        garden.task("updated", task=gone, priority="low", assignees=[ann], old={"priority": "high"}),
        garden.task("updated", task=gone, priority="low", old={"assignees": [ann]}),
        garden.task("moved", task=gone, priority="low", project=garden.other, old={"project_id": str(garden.project)}),
        garden.task("purged", task=gone, priority="low", project=garden.other),
    )
    asked = {
        "filter": {"filter": "priority = high"},
        "project": {"scopes": f"project:{garden.project}"},
        "me": {"scopes": "me"},
        "workspace": {"scopes": f"workspace:{garden.world.id}"},
    }
    found = {name: await replayed(start, query=query) for name, query in asked.items()}
    assert {name: [one["type"] for one in frames] for name, frames in found.items()} == {
        "filter": ["task.updated"],
        "project": ["task.moved"],
        "me": ["watcher.removed", "task.updated"],
        "workspace": ["task.purged"],
    }
    assert found["filter"][0]["left_filter"] is True
    for frame in (*found["filter"], *found["project"], *found["me"]):
        assert (is_empty(frame), frame["removed"]) == (True, {"reason": "purged"})


async def test_j4_who_was_put_out_of_a_project_that_is_gone_for_good_is_nothing_that_left_it(
    replayed, garden, feed, world
):
    """It was there to the end, which is told."""
    former = uuid7()
    await feed.keep(world.joins(former), world.role_in(garden.project, former))
    start = garden.cursor()
    await feed.keep(
        world.role_in(garden.project, former, "removed", lost_by=[str(former)]), garden.purge(garden.project)
    )
    garden.lasting = garden.other
    frames = await replayed(start, query={"scopes": f"project:{garden.project},project:{garden.other}"})
    assert [one["type"] for one in frames] == ["project.purged"]


async def test_j4_what_was_taken_off_something_that_is_purged_elsewhere_is_told_to_be_gone(replayed, garden, feed):
    """Or else who asks for a part that the deletion for good is not told in would keep it for ever."""
    gone, stays = str(uuid7()), str(uuid7())
    garden.lasting = garden.project
    relation = garden.world.relation(garden.project, garden.other, tasks=(stays, gone))
    comment = garden.comment(gone, garden.other, mentions=[str(garden.ann)])
    await feed.keep(garden.task(task=stays), garden.task(task=gone, project=garden.other), relation, comment)
    start = garden.cursor()
    await feed.keep(garden.taken_off(relation), garden.taken_off(comment))
    await feed.keep(garden.task("purged", task=gone, project=garden.other))
    of_project = await replayed(start, query={"scopes": f"project:{garden.project}"})
    mine = await replayed(start, query={"scopes": "me"})
    assert told(of_project) == [("relation.deleted", str(relation.subject), "purged")]
    assert told(mine) == [("comment.deleted", str(comment.subject), "purged")]
    assert all(is_empty(frame) for frame in (*of_project, *mine))
    assert [one["type"] for one in await replayed(start)] == ["task.purged"]


async def test_j4_a_purge_that_comes_while_the_past_is_sent_hides_what_is_still_to_be_read(
    service, garden, world, feed, long_past
):
    gone = str(uuid7())
    start = garden.cursor()
    await long_past(450)
    await feed.keep(garden.task(task=gone))
    reader = await service.open(garden.ann, start)
    await reader.ready()
    reader.socket.transport.pause_reading()
    await feed.keep(garden.task("purged", task=gone, title="last"))
    reader.socket.transport.resume_reading()
    frames = await reader.until_seq(world.seq)
    await reader.socket.close()
    assert [one["type"] for one in frames if one["subject"] == gone] == ["task.purged"]


MANY_EVENTS = """
    INSERT INTO notifications.stream_event (workspace_id, seq, type, audience, frame, occurred_at)
    SELECT :w, n,
        CASE n % 10 WHEN 0 THEN 'task.purged.v1' WHEN 1 THEN 'project.purged.v1' ELSE 'task.updated.v1' END, '{}',
        jsonb_build_object('subject', md5(n::text)::uuid), now()
    FROM generate_series(1, 20000) AS n
"""
SUBJECTS = "SELECT seq, CAST(frame ->> 'subject' AS uuid) FROM notifications.stream_event WHERE workspace_id = :w"


async def test_j4_what_is_purged_of_a_long_past_is_found_by_an_index(planned, world, rows):
    await rows(MANY_EVENTS, w=world.id)
    await rows("ANALYZE notifications.stream_event")
    subjects = dict(await rows(SUBJECTS, w=world.id))
    asked = [subjects[n] for n in range(1, 200)]
    gone, plan = await planned(lambda reader: purged_among(reader, asked, workspace_id=world.id))
    assert gone == {subjects[n] for n in range(1, 200) if n % 10 in (0, 1)}
    assert "Index Scan using ix_stream_event_purged" in plan
    assert "Index Cond: ((workspace_id = $1) AND ((frame ->> 'subject'::text) = ANY ($2)))" in plan
