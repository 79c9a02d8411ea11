"""P2: a file is taken into a workspace, and what comes of an export and an import is equal but for ids."""

import asyncio
import csv
import io
import json
import re
from dataclasses import replace
from uuid import UUID

import httpx2
import pytest
from chassis.ids import uuid7
from chassis.web.health import Health
from sqlalchemy import select
from sqlalchemy import text as sql
from tasks_service.main import create_app
from tasks_service.relay import change, envelope_of
from tasks_service.scheduler import jobs as scheduled
from testkit.jobs import run_to_end
from testkit.waiting import eventually

TIMES = ("created_at", "updated_at")


def line(kind, **fields):
    return json.dumps({"kind": kind, **fields}) + "\n"


def ids(count):
    return [str(uuid7()) for _ in range(count)]


def canonical(content, *, users):
    """Return the lines of an export with ids in the order in which they come, but for those of people.

    What hangs on tasks comes in the order of those.
    """
    known = {}

    def numbered(match):
        text = match[0]
        return text if text in users else known.setdefault(text, f"#{len(known)}")

    lines = [json.loads(one) for one in content.decode().splitlines()]
    kept = [one for one in lines if one["kind"] not in {"head", "end"}]
    for one in kept:
        # A set, which is in the order of its ids.
        one["labels"] = sorted(one.get("labels", ()))
    tasks = [one["id"] for one in kept if one["kind"] == "task"]
    of_comment = {one["id"]: one["task_id"] for one in kept if one["kind"] == "comment"}

    def place(one):
        task_id = one.get("task_id") or one.get("from_task_id") or of_comment.get(one.get("comment_id"))
        return (1, tasks.index(task_id)) if task_id else (0, 0)

    text = "\n".join(json.dumps(one, sort_keys=True) for one in sorted(kept, key=place))
    return re.sub(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", numbered, text).split("\n")


async def furnish(team):
    """Fill the workspace of a team with some of everything."""
    ok, place = team.ok, str(team.workspace_id)
    category = await ok("owner", "POST", "/categories", {"name": "Garden", "color": "#2e7d32", "workspace_id": place})
    labels = [await ok("admin", "POST", "/labels", {"name": name, "workspace_id": place}) for name in ("one", "two")]
    inner = await ok(
        "owner",
        "POST",
        "/projects",
        {
            "name": "Inner",
            "workspace_id": place,
            "parent_id": str(team.project_id),
            "prefix": "INN",
            "member_role": "viewer",
        },
    )
    private = await ok(
        "owner", "POST", "/projects", {"name": "Private", "workspace_id": place, "visibility": "private"}
    )
    await ok("owner", "PATCH", f"/projects/{private['id']}", {"prefix": "SECRET", "description": "# Words"})
    await ok("owner", "PUT", f"/projects/{private['id']}/members/{team.id('member')}", {"role": "editor"})
    await ok("owner", "POST", f"/projects/{inner['id']}/statuses", {"name": "In review", "category": "in_progress"})
    whole = await team.task(
        title="=whole",
        description='Words, with "quotes"\nand lines',
        priority="urgent",
        labels=[one["id"] for one in labels],
        category_id=category["id"],
        start="2026-11-01",
        due={"at": "2026-12-01T08:00:00Z", "timezone": "Europe/Berlin"},
        deadline="2026-12-24",
        estimate_minutes=90,
        completion_policy="all",
        reopen_on_assign=True,
        custom={"a": [1, {"b": None}], "c": 1.5},
        external_source="jira",
        external_id="X-1",
        assignees=[team.id("member"), team.id("colleague")],
    )
    await ok("member", "PATCH", f"/tasks/{whole['id']}/assignees/{team.id('member')}", {"state": "done"})
    below = await team.task(title="below", parent_id=whole["id"], due="2026-12-02")
    await team.task(title="deeper", parent_id=below["id"], status="done")
    await team.task(title="floating", due={"local": "2026-12-01T09:00:00"}, parent_id=whole["id"], status="cancelled")
    review = await team.task(title="review", project_id=inner["id"], status="in_review")
    hidden = await team.task(title="hidden", project_id=private["id"], assignees=[team.id("member")])
    await ok(
        "owner",
        "POST",
        f"/tasks/{review['id']}/move",
        {"project_id": str(team.project_id), "status_map": {"in_review": "todo"}},
    )
    await ok("owner", "PUT", f"/tasks/{hidden['id']}/shares/{team.id('guest')}", {"role": "commenter"})
    for text, done in (("first", True), ("second", False)):
        await ok(
            "member", "POST", f"/tasks/{whole['id']}/checklist", {"text": text, "done": done, "due_date": "2026-12-03"}
        )
    await ok("owner", "POST", f"/tasks/{whole['id']}/relations", {"type": "blocks", "task_id": review["id"]})
    await ok("owner", "POST", f"/tasks/{review['id']}/relations", {"type": "relates_to", "task_id": whole["id"]})
    comment = await ok("member", "POST", f"/tasks/{whole['id']}/comments", {"body": f"Hi @[user:{team.id('owner')}]"})
    await ok("owner", "POST", f"/tasks/{whole['id']}/comments", {"body": "A reply", "parent_id": comment["id"]})
    edited = await ok("owner", "POST", f"/tasks/{whole['id']}/comments", {"body": "Before"})
    await ok("owner", "PATCH", f"/tasks/{whole['id']}/comments/{edited['id']}", {"body": "After"})
    gone = await ok("owner", "POST", f"/tasks/{whole['id']}/comments", {"body": "Gone"})
    await ok("owner", "DELETE", f"/tasks/{whole['id']}/comments/{gone['id']}")
    await ok("colleague", "PUT", f"/tasks/{whole['id']}/comments/{comment['id']}/reactions/%F0%9F%91%8D")
    await ok("owner", "PUT", f"/tasks/{whole['id']}/star")
    await ok("owner", "PUT", f"/tasks/{below['id']}/watchers/mute")
    await ok("owner", "PUT", f"/tasks/{whole['id']}/metadata/crm", {"customer": 4711})
    await ok("owner", "POST", f"/projects/{inner['id']}/archive")


MEMBERS = [(name, role) for name, role in (("admin", "admin"), ("member", "member"), ("colleague", "member"))] + [
    (name, "guest") for name in ("guest", "editor", "commenter", "viewer")
]


async def test_p2_an_export_that_is_imported_and_exported_is_equal_but_for_ids(files, rows):
    team = files.team
    await furnish(team)
    users = {team.id(name) for name in team.ids}
    first, content = await files.export()
    assert {
        "project",
        "category",
        "label",
        "task",
        "checklist_item",
        "relation",
        "comment",
        "reaction",
        "watcher",
        "star",
        "task_metadata",
    } == set(first["manifest"]["counts"])
    place = await files.workspace(members=MEMBERS)
    job, results = await files.take(content, place)
    assert (job["status"], job["failed"], results) == ("succeeded", 0, [])
    assert job["total"] == job["done"] == len(content.splitlines())
    second, again = await files.export(place)
    assert canonical(again, users=users) == canonical(content, users=users)
    assert second["manifest"] == first["manifest"]
    counts = await state_of(rows, place)
    job, results = await files.take(content, place)
    assert (job["status"], results, await state_of(rows, place)) == ("succeeded", [], counts)


async def test_p2_what_is_there_already_is_known_in_archived_projects_too(files):
    team = files.team
    task = await team.task(title="t")
    comment = await team.ok("member", "POST", f"/tasks/{task['id']}/comments", {"body": "Words"})
    for who, path in (
        ("member", f"comments/{comment['id']}/reactions/%F0%9F%91%8D"),
        ("owner", "star"),
    ):
        await team.ok(who, "PUT", f"/tasks/{task['id']}/{path}")
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/metadata/crm", {"customer": 4711})
    await team.ok("owner", "POST", f"/projects/{team.project_id}/archive")
    _, content = await files.export()
    place = await files.workspace(members=MEMBERS)
    for _ in range(2):
        job, results = await files.take(content, place)
        assert (job["status"], job["failed"], results) == ("succeeded", 0, [])


STATE = """
    SELECT count(*) FROM tasks.change WHERE workspace_id = :w AND entity_type <> 'job'
    UNION ALL SELECT count(*) FROM tasks.project WHERE workspace_id = :w
    UNION ALL SELECT count(*) FROM tasks.task WHERE workspace_id = :w
    UNION ALL SELECT count(*) FROM tasks.comment WHERE workspace_id = :w
    UNION ALL SELECT count(*) FROM tasks.label WHERE workspace_id = :w
    UNION ALL SELECT count(*) FROM tasks.relation WHERE workspace_id = :w
    UNION ALL SELECT count(*) FROM tasks.checklist_item WHERE workspace_id = :w
"""


async def state_of(rows, workspace_id):
    """What there is, without what jobs themselves say in the log."""
    return await rows(STATE, w=workspace_id)


async def test_p2_two_imports_of_one_file_at_once_make_everything_once(files, rows):
    team = files.team
    await furnish(team)
    _, content = await files.export()
    place = await files.workspace(members=MEMBERS)
    jobs = [(await files.send(content, place)).json()["data"] for _ in range(4)]
    ended = await asyncio.gather(*(files.done(job, contended=True) for job in jobs))
    assert [one["status"] for one in ended] == ["succeeded"] * 4
    users = {team.id(name) for name in team.ids}
    _, again = await files.export(place)
    assert canonical(again, users=users) == canonical(content, users=users)


async def test_p2_a_broken_line_is_told_with_its_number_and_the_rest_goes_on(files):
    team = files.team
    project, label, good, child, comment = ids(5)
    lines = [
        line("project", id=project, name="P"),
        "{broken\n",
        line("label", id=label, name=""),
        line("task", id=good, project_id=project, title="good", labels=[label]),
        line("task", id=str(uuid7()), project_id=project, title="x", status="flying"),
        line("task", id=str(uuid7()), project_id=str(uuid7()), title="x"),
        line("task", id=str(uuid7()), project_id=project, title="x" * 501),
        line("task", id=child, project_id=project, title="child", parent_id=str(uuid7())),
        line("task", id=str(uuid7()), project_id=project, title="x", start="2026-12-02", deadline="2026-12-01"),
        line("task", id=str(uuid7()), project_id=project, title=7, estimate_minutes="x"),
        line("unicorn", id=str(uuid7())),
        "\n",
        line("comment", id=comment, task_id=good, body="kept"),
        line("comment", id=str(uuid7()), task_id=str(uuid7()), body="lost"),
        line("reaction", comment_id=comment, user_id=team.id("owner"), emoji="no"),
        line("label", id=str(uuid7()), name="last"),
    ]
    job, results = await files.take("".join(lines))
    assert (job["status"], job["total"], job["done"], job["failed"]) == ("succeeded", 16, 16, 10)
    assert files.told(results) == [
        (2, None, "MALFORMED_JSON"),
        (3, "label", "TOO_SHORT"),
        (4, "task", None),
        (5, "task", "STATUS_NOT_FOUND"),
        (6, "task", "UNKNOWN_REFERENCE"),
        (7, "task", "TOO_LONG"),
        (8, "task", None),
        (9, "task", "DATES_OUT_OF_ORDER"),
        (10, "task", "WRONG_TYPE"),
        (11, None, "NOT_ALLOWED"),
        (14, "comment", "UNKNOWN_REFERENCE"),
        (15, "reaction", "NOT_AN_EMOJI"),
    ]
    assert [one["error"]["field"] for one in results if one["error"]] == [
        None,
        "name",
        "status",
        "project_id",
        "title",
        "due",
        "title",
        "kind",
        "task_id",
        "emoji",
    ]
    assert files.warned(results) == [(4, ["UNKNOWN_REFERENCE"]), (8, ["UNKNOWN_REFERENCE"])]
    shown = await team.ok("owner", "GET", f"/tasks?project_id={await made(files, project)}")
    assert sorted(one["title"] for one in shown) == ["child", "good"]


async def made(files, source_id):
    """Return the id of what was made of something in a file."""
    statement = "SELECT target_id FROM tasks.import_source WHERE source_id = :id"
    return str((await files.team.rows(statement, id=UUID(source_id)))[0][0])


async def test_p2_what_was_broken_is_made_when_it_comes_again_whole(files):
    project, task = ids(2)
    broken = line("project", id=project, name="P") + line("task", id=task, project_id=project, title="")
    job, _ = await files.take(broken)
    assert job["failed"] == 1
    job, results = await files.take(broken.replace('"title": ""', '"title": "whole"'))
    assert (job["failed"], results) == (0, [])
    shown = await files.team.ok("owner", "GET", f"/tasks/{await made(files, task)}")
    assert shown["title"] == "whole"


async def test_p2_a_dry_run_makes_nothing_and_tells_what_would_be_wrong(files, rows):
    team = files.team
    await furnish(team)
    _, content = await files.export()
    place = await files.workspace(members=MEMBERS)
    before = await state_of(rows, place)
    job, results = await files.take(content, place, dry_run="true")
    assert (job["status"], job["failed"], results) == ("succeeded", 0, [])
    project = str(uuid7())
    wrong = line("project", id=project, name="P") + line(
        "task", id=str(uuid7()), project_id=project, title="x", status="no"
    )
    _, results = await files.take(wrong, place, dry_run="true")
    assert files.told(results) == [(2, "task", "STATUS_NOT_FOUND")]
    assert await state_of(rows, place) == before
    assert await rows("SELECT count(*) FROM tasks.import_source WHERE workspace_id = :w", w=place) == [(0,)]
    assert await rows("SELECT count(*) FROM tasks.import_seen WHERE workspace_id = :w", w=place) == [(0,)]


async def test_p2_who_is_no_member_is_left_out_with_a_warning(files):
    team = files.team
    project, task = ids(2)
    gone = str(uuid7())
    lines = [
        line("project", id=project, name="P", members=[{"user_id": gone, "role": "manager"}]),
        line("task", id=task, project_id=project, title="t", created_by=gone, assignees=[{"user_id": gone}]),
        line("comment", id=str(uuid7()), task_id=task, body="Words", author_id=gone),
        line("watcher", task_id=task, user_id=gone),
        line("star", task_id=task, user_id=team.id("member")),
    ]
    job, results = await files.take("".join(lines))
    assert (job["failed"], files.warned(results)) == (
        0,
        [
            (1, ["NOT_A_MEMBER"]),
            (2, ["ASSIGNEE_NO_ACCESS", "NOT_A_MEMBER"]),
            (3, ["NOT_A_MEMBER"]),
            (4, ["WATCHER_NO_ACCESS"]),
            (5, ["NOT_YOURS"]),
        ],
    )
    task_id = await made(files, task)
    shown = await team.ok("owner", "GET", f"/tasks/{task_id}")
    assert (shown["created_by"], shown["assignees"]) == (team.id("owner"), [])
    (comment,) = await team.ok("owner", "GET", f"/tasks/{task_id}/comments")
    assert (comment["author_id"], comment["body"]) == (team.id("owner"), "Words")


async def test_p2_what_members_did_is_told_as_theirs_and_the_log_has_who_imported_it(files, rows):
    team, project = files.team, str(uuid7())
    task, comment = ids(2)
    owner, member = team.id("owner"), team.id("member")
    content = line("project", id=project, name="P", created_by=member)
    content += line("task", id=task, project_id=project, title="a", created_by=member)
    content += line("comment", id=comment, task_id=task, author_id=member, body="Yes.")
    content += line("task_metadata", task_id=task, namespace="crm", owner_id=member, shared=True, value={"a": 1})
    _, results = await files.take(content)
    assert results == []
    mapped = dict(
        await rows(
            "SELECT source_id::text, target_id::text FROM tasks.import_source WHERE workspace_id = :w",
            w=team.workspace_id,
        )
    )
    shown = await team.ok("owner", "GET", f"/tasks/{mapped[task]}")
    (said,) = await team.ok("owner", "GET", f"/tasks/{mapped[task]}/comments")
    assert (shown["created_by"], said["author_id"]) == (member, member)
    assert await rows("SELECT owner_id::text FROM tasks.task_metadata WHERE task_id = :t", t=mapped[task]) == [
        (member,)
    ]
    history = await team.ok("member", "GET", f"/tasks/{mapped[task]}/history")
    told = {(one["type"], one["actor"]["id"], one["reason"]) for one in history}
    assert told == {(kind, owner, "import") for kind in ("task.created", "comment.created", "task_metadata.updated")}


async def test_p2_nobody_is_mentioned_by_what_is_imported(files, rows):
    team = files.team
    await furnish(team)
    _, content = await files.export()
    place = await files.workspace(members=MEMBERS)
    await files.take(content, place)
    query = (
        "SELECT resource->>'body', resource->'mentions', reason FROM tasks.change"
        " WHERE workspace_id = :w AND type = 'comment.created.v1' ORDER BY seq"
    )
    assert await rows(query, w=place) == [
        (f"Hi @[user:{team.id('owner')}]", [], "import"),
        ("A reply", [], "import"),
        ("After", [], "import"),
        (None, [], "import"),
    ]
    assert await rows(
        "SELECT count(*) FROM tasks.comment WHERE workspace_id = :w AND cardinality(mentions) = 1", w=place
    ) == [(1,)]


async def test_k1_nobody_is_notified_of_what_is_imported_but_that_the_job_has_ended(files, rows, database):
    team = files.team
    await furnish(team)
    _, content = await files.export()
    place = await files.workspace(members=MEMBERS)
    await files.take(content, place)
    async with database.reader.connect() as reader:
        log = (await reader.execute(select(change).where(change.c.workspace_id == UUID(place)))).mappings().all()
    told = [envelope_of(row).data for row in log]
    assert {"task", "comment", "watcher", "reaction"} <= {one["entity_type"] for one in told if one.get("quiet")}
    assert {row["reason"] for row, one in zip(log, told, strict=True) if one.get("quiet")} == {"import"}
    assert {row["reason"] for row, one in zip(log, told, strict=True) if "quiet" not in one} == {None}


async def test_p2_numbers_and_prefixes_are_kept_where_they_are_free(files):
    team = files.team
    first, second = ids(2)
    tasks = ids(3)
    lines = [
        line("project", id=first, name="A", prefix="ABC", next_number=50),
        line("project", id=second, name="B", prefix="ABC"),
        line("task", id=tasks[0], project_id=first, title="a", number=7),
        line("task", id=tasks[1], project_id=first, title="b", number=7),
        line("task", id=tasks[2], project_id=first, title="c"),
    ]
    _, results = await files.take("".join(lines))
    assert files.warned(results) == [(2, ["PREFIX_TAKEN"])]
    keys = [(await team.ok("owner", "GET", f"/tasks/{await made(files, one)}"))["key"] for one in tasks]
    assert keys == ["ABC-7", "ABC-50", "ABC-51"]
    third, late = ids(2)
    await files.take(line("project", id=third, name="C") + line("task", id=late, project_id=third, title="d", number=3))
    next_one = await team.task(project_id=await made(files, third))
    assert next_one["key"].endswith("-4")


async def test_p2_a_task_that_was_there_counts_subtasks_that_come_later_and_is_changed_by_nobody(files, rows):
    team = files.team
    project, parent = ids(2)
    at = "2026-01-02T03:04:05+00:00"
    content = line("project", id=project, name="P")
    content += line("task", id=parent, project_id=project, title="above", created_at=at, updated_at=at)
    content += "".join(line("label", id=str(uuid7()), name=f"label {number}") for number in range(120))
    for status in ("done", "todo", "cancelled"):
        content += line("task", id=str(uuid7()), project_id=project, title=status, status=status, parent_id=parent)
    job, results = await files.take(content)
    assert (job["failed"], results) == (0, [])
    shown = await team.ok("owner", "GET", f"/tasks/{await made(files, parent)}")
    assert (shown["progress"], shown["version"]) == ({"done": 1, "total": 2}, 2)
    assert shown["updated_at"] == at.replace("+00:00", "Z")
    log = "SELECT type, resource->'progress'->>'total' FROM tasks.change WHERE entity_id = :id ORDER BY seq"
    assert await rows(log, id=shown["id"]) == [("task.created.v1", "0"), ("task.updated.v1", "2")]


async def test_p2_a_label_of_a_name_that_is_there_is_that_label(files):
    team = files.team
    there = await team.ok("owner", "POST", "/labels", {"name": "Urgent", "workspace_id": str(team.workspace_id)})
    label, project, task = ids(3)
    lines = [
        line("label", id=label, name="urgent"),
        line("project", id=project, name="P"),
        line("task", id=task, project_id=project, title="t", labels=[label]),
    ]
    job, results = await files.take("".join(lines))
    assert (job["failed"], results) == (0, [])
    assert (await team.ok("owner", "GET", f"/tasks/{await made(files, task)}"))["labels"] == [there["id"]]


async def test_p2_what_was_deleted_for_good_is_made_again(files, rows):
    team = files.team
    project, task = ids(2)
    content = line("project", id=project, name="P") + line("task", id=task, project_id=project, title="t")
    await files.take(content)
    first = await made(files, task)
    await team.ok("owner", "DELETE", f"/tasks/{first}?permanent=true")
    await files.take(content)
    assert await made(files, task) != first


async def test_p2_what_is_anothers_or_said_no_more_is_not_taken(files, rows):
    team, theirs = files.team, await files.team.task(title="theirs")
    await team.ok("member", "PUT", f"/tasks/{theirs['id']}/metadata/crm", {"a": 1})
    project, task, again, comment = ids(4)
    external = {"external_source": "jira", "external_id": "J-1"}
    lines = [
        line("project", id=project, name="P"),
        line("task", id=task, project_id=project, title="a", **external),
        line("task", id=again, project_id=project, title="b", **external),
        line("task_metadata", task_id=task, namespace="crm", owner_id=str(uuid7()), value={"a": 2}),
        line("watcher", task_id=task, user_id=team.id("member"), is_muted=True),
        line("watcher", task_id=task, user_id=team.id("admin"), is_watching=False),
        line("star", task_id=task, user_id=team.id("member")),
        line("comment", id=comment, task_id=task, body="Taken back.", deleted_at="2026-11-01T00:00:00Z"),
    ]
    _, results = await files.take("".join(lines))
    assert files.told([one for one in results if one["error"]]) == [
        (3, "task", "EXTERNAL_ID_TAKEN"),
        (4, "task_metadata", "NAMESPACE_TAKEN"),
    ]
    assert files.warned(results) == [(5, ["NOT_YOURS"]), (6, ["NOT_YOURS"]), (7, ["NOT_YOURS"])]
    of_task = {"id": UUID(await made(files, task))}
    for table in ("task_metadata", "watcher", "star"):
        assert await rows(f"SELECT 1 FROM tasks.{table} WHERE task_id = :id", **of_task) == [], table  # noqa: S608 - the table is our own
    assert await rows("SELECT body FROM tasks.comment WHERE task_id = :id", **of_task) == [(None,)]


async def test_c2_a_project_that_is_archived_takes_no_line(files, rows):
    team, place = files.team, str(files.team.workspace_id)
    project, task, comment, late = ids(4)
    of_task = {"task_id": task, "user_id": team.id("owner")}
    there = (
        line("project", id=project, name="Old")
        + line("task", id=task, project_id=project, title="a")
        + line("comment", id=comment, task_id=task, body="hello")
    )
    _, results = await files.take(there)
    assert results == []
    [[made]] = await rows("SELECT id FROM tasks.project WHERE workspace_id = :w AND name = 'Old'", w=place)
    await team.ok("owner", "POST", f"/projects/{made}/archive")
    [[before]] = await rows("SELECT max(seq) FROM tasks.change WHERE workspace_id = :w", w=place)
    more = (
        line("task", id=late, project_id=project, title="b")
        + line("checklist_item", id=late, task_id=task, text="b")
        + line("comment", id=late, task_id=task, body="b")
        + line("reaction", comment_id=comment, user_id=team.id("owner"), emoji="\U0001f44d")
        + line("watcher", **of_task)
        + line("star", **of_task)
    )
    _, results = await files.take(there + more)
    assert [(one["line"], one["error"]["code"]) for one in results] == [(n, "PROJECT_ARCHIVED") for n in range(4, 10)]
    told = "SELECT type FROM tasks.change WHERE workspace_id = :w AND seq > :before AND entity_type <> 'job'"
    assert await rows(told, w=place, before=before) == []


async def test_p2_a_table_of_ours_comes_back(files):
    team = files.team
    await furnish(team)
    _, content = await files.export(format="csv")
    place = await files.workspace(members=MEMBERS)
    job, results = await files.take(content, place, file_format="csv")
    assert (job["status"], job["failed"]) == ("succeeded", 0), results
    _, again = await files.export(place, format="csv")
    assert comparable(again) == comparable(content)


async def test_p2_a_table_of_ours_comes_back_into_an_empty_workspace_with_its_statuses(files):
    team = files.team
    body = {"name": "In review", "category": "in_progress"}
    await team.ok("owner", "POST", f"/projects/{team.project_id}/statuses", body)
    above = await team.task(title="above", status="in_review")
    await team.task(title="below", parent_id=above["id"])
    _, content = await files.export(format="csv")
    place = await files.workspace(members=MEMBERS)
    job, results = await files.take(content, place, file_format="csv")
    assert (job["failed"], results) == (0, [])
    _, again = await files.export(place, format="csv")
    assert comparable(again) == comparable(content)
    assert [(one["status"], one["status_category"], one["below"]) for one in comparable(again)] == [
        ("in_review", "in_progress", False),
        ("todo", "todo", True),
    ]


def comparable(content):
    return [
        {name: cell for name, cell in row.items() if name not in {"id", "key", "parent"}}
        | {"below": bool(row["parent"])}
        for row in csv.DictReader(io.StringIO(content.decode(), newline=""))
    ]


async def test_p2_lines_in_another_encoding_are_each_told_of(files):
    job, results = await files.take(line("label", id=str(uuid7()), name="a").encode("utf-16"))
    assert (job["status"], job["failed"]) == ("succeeded", job["total"])
    assert {one["error"]["code"] for one in results} == {"MALFORMED_JSON"}


async def test_p2_an_export_that_is_cut_or_changed_is_taken_with_a_warning(files):
    for number in range(120):
        await files.team.task(title=f"task {number}")
    _, content = await files.export()
    lines = content.splitlines(keepends=True)
    last = len(lines)
    end = json.loads(lines[-1])

    def ended(**fields):
        return [*lines[:-1], json.dumps({**end, **fields}).encode() + b"\n"]

    cases = {
        "whole": (lines, []),
        "with a byte order mark": ([b"\xef\xbb\xbf", *lines], []),
        "written otherwise": (ended(), []),
        "two in one": ([*lines, *lines], []),
        "cut": (lines[:-1], [(last, ["FILE_CUT"])]),
        "other checksum": (ended(sha256="0" * 64), [(last, ["CHECKSUM_MISMATCH"])]),
        "no checksum": (ended(sha256=None), [(last, ["CHECKSUM_MISMATCH"])]),
        "other counts": (ended(counts={**end["counts"], "task": 121}), [(last, ["CHECKSUM_MISMATCH"])]),
        "a line less": ([*lines[:60], *lines[61:]], [(last - 1, ["CHECKSUM_MISMATCH"])]),
        "without a beginning": (lines[-40:], [(40, ["CHECKSUM_MISMATCH"])]),
        "changed": ([one.replace(b"task 7", b"task 8") for one in lines], [(last, ["CHECKSUM_MISMATCH"])]),
        "more after its end": ([*lines, lines[1]], [(last, ["CHECKSUM_MISMATCH"])]),
    }
    for name, (parts, expected) in cases.items():
        job, results = await files.take(b"".join(parts), dry_run="true")
        told = files.warned(results)
        about = [(line, codes) for line, codes in told if codes[0] in {"FILE_CUT", "CHECKSUM_MISMATCH"}]
        assert (name, job["status"], about) == (name, "succeeded", expected)


async def test_p2_a_line_that_is_too_long_is_told_and_passed_over(files):
    long = line("label", id=str(uuid7()), name="x", color="y" * 3 * 1024 * 1024)
    job, results = await files.take(long + line("label", id=str(uuid7()), name="after"))
    assert (job["status"], files.told(results)) == ("succeeded", [(1, None, "TOO_LONG")])
    assert job["done"] == job["total"] == 2
    labels = await files.team.ok("owner", "GET", f"/labels?workspace_id={files.team.workspace_id}")
    assert [one["name"] for one in labels] == ["after"]


async def test_p2_lines_of_other_systems_begin_with_a_mark_and_end_as_they_do_there(files):
    lines = [line("label", id=str(uuid7()), name=name).replace("\n", "\r\n") for name in ("a", "b")]
    job, results = await files.take("\ufeff" + "".join(lines))
    assert (job["status"], job["done"], job["failed"], results) == ("succeeded", 2, 0, [])
    labels = await files.team.ok("owner", "GET", f"/labels?workspace_id={files.team.workspace_id}")
    assert [one["name"] for one in labels] == ["a", "b"]


async def test_p2_the_file_is_gone_when_it_has_been_taken_in(files, rows):
    job, _ = await files.take(line("label", id=str(uuid7()), name="a"))
    assert await rows("SELECT count(*) FROM tasks.file_part WHERE file_id = :id", id=job["id"]) == [(0,)]
    assert await rows("SELECT count(*) FROM tasks.import_seen WHERE job_id = :id", id=job["id"]) == [(0,)]


async def test_p2_a_file_that_nobody_takes_in_any_more_is_soon_gone(files, database, settings, rows):
    content, place = line("label", id=str(uuid7()), name="a"), files.team.workspace_id
    await files.take("name\r\nmilk\r\n", file_format="csv")
    kept, _ = await files.export()
    cancelled, waiting = [(await files.send(content)).json()["data"]["id"] for _ in range(2)]
    await files.team.ok("owner", "POST", f"/jobs/{cancelled}/cancel")
    given_up, coming = uuid7(), uuid7()
    for one, age in ((given_up, "25 hours"), (coming, "1 hour")):
        await rows(
            "INSERT INTO tasks.file_part VALUES (:id, 0, :w, :u, 'x', now() - CAST(:age AS text)::interval)",
            id=one,
            w=place,
            u=files.team.ids["owner"],
            age=age,
        )
    await run_to_end(database, scheduled(settings), "purge-files")
    left = await rows("SELECT DISTINCT file_id::text FROM tasks.file_part WHERE workspace_id = :w", w=place)
    assert {one for (one,) in left} == {waiting, kept["id"], str(coming)}


async def test_o4_the_same_file_with_the_same_key_is_one_job(files, rows):
    content = line("label", id=str(uuid7()), name="a")
    key = {"headers": {"idempotency-key": str(uuid7())}}
    first, second = [await files.send(content, **key) for _ in range(2)]
    assert (first.status_code, second.status_code, second.headers["idempotency-replayed"]) == (202, 202, "true")
    assert first.json()["data"]["id"] == second.json()["data"]["id"]
    other = await files.send(content + "\n", **key)
    assert other.json()["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    counted = "SELECT count(*) FROM tasks.file_part WHERE workspace_id = :w"
    assert await rows(counted, w=files.team.workspace_id) == [(1,)]
    await files.done(first.json()["data"])


@pytest.mark.parametrize(
    ("query", "content", "status", "code"),
    [
        ({}, b"", 422, "FILE_EMPTY"),
        ({"headers": {"content-type": "application/json"}}, b"{}", 415, "FILE_TYPE_UNSUPPORTED"),
        ({"headers": {"content-encoding": "gzip"}}, b"{}", 415, "FILE_TYPE_UNSUPPORTED"),
        (
            {"file_format": "csv", "headers": {"content-type": "application/x-ndjson"}},
            b"title",
            415,
            "FILE_TYPE_UNSUPPORTED",
        ),
        ({"project_id": str(UUID(int=7))}, b"{}", 422, "PROJECT_NOT_FOUND"),
        ({"who": "member"}, b"{}", 403, "FORBIDDEN"),
        ({"who": "stranger"}, b"{}", 422, "WORKSPACE_NOT_FOUND"),
        ({"filter": "x"}, b"{}", 422, "UNKNOWN_PARAMETER"),
    ],
)
async def test_p2_what_is_no_import_is_refused_and_nothing_is_kept(files, rows, query, content, status, code):
    answer = await files.send(content, **query)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)
    counted = "SELECT count(*) FROM tasks.file_part WHERE workspace_id = :w"
    assert await rows(counted, w=files.team.workspace_id) == [(0,)]


async def test_p2_a_file_that_is_too_large_is_refused_and_nothing_is_kept(files, settings, database, rows):
    team = files.team
    small = replace(settings, tasks=settings.tasks.model_copy(update={"import_max_bytes": 2 * 1024 * 1024}))
    app = create_app(small, database=database, health=Health())
    headers = {**team.gateway.headers(team.ids["owner"]), "content-type": "text/csv"}

    async def endless():
        for _ in range(6):
            yield b"x" * 1024 * 1024

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://tasks") as api:
        for content in (endless(), b"x" * (2 * 1024 * 1024 + 1)):
            params = {"workspace_id": str(team.workspace_id), "format": "csv"}
            answer = await api.post("/api/v1/imports", params=params, content=content, headers=headers)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    counted = "SELECT count(*) FROM tasks.file_part WHERE workspace_id = :w"
    assert await rows(counted, w=team.workspace_id) == [(0,)]


MANY = """
    INSERT INTO tasks.task (id, workspace_id, project_id, title, status, priority, parent_id, created_by, version,
        created_at, updated_at, labels)
    SELECT uuidv7(), :w, :p, 'Task ' || n, (ARRAY['todo', 'in_progress', 'cancelled'])[1 + n % 3],
        (ARRAY['none', 'low', 'urgent'])[1 + n % 3], NULL, :u, 1, now(), now(), '{}'
    FROM generate_series(1, 2000) AS n
"""
COMMENTED = """
    INSERT INTO tasks.comment (id, workspace_id, task_id, author_id, body, mentions, version, created_at)
    SELECT uuidv7(), workspace_id, id, created_by, 'About ' || title, '{}', 1, now()
    FROM tasks.task WHERE workspace_id = :w AND number % 2 = 0
"""
BELOW = """
    UPDATE tasks.task SET parent_id = (
        SELECT above.id FROM tasks.task AS above
        WHERE above.project_id = task.project_id AND above.number = task.number + 7
    ) WHERE workspace_id = :w AND number % 10 = 3
"""
COUNTED = """
    UPDATE tasks.task SET subtasks_total = (
        SELECT count(*) FROM tasks.task AS below WHERE below.parent_id = task.id AND below.status <> 'cancelled'
    ) WHERE workspace_id = :w
"""


LONG = """
    UPDATE tasks.task SET description = repeat('Much to say. äöü ', 500) || number WHERE workspace_id = :w
"""


async def test_p2_a_file_of_many_pieces_comes_back(files, rows):
    team = files.team
    await rows(MANY.replace("2000", "400"), w=team.workspace_id, p=team.project_id, u=team.ids["owner"])
    await rows(LONG, w=team.workspace_id)
    export, content = await files.export()
    pieces = "SELECT count(*), max(length(content)) FROM tasks.file_part WHERE file_id = :id"
    ((count, largest),) = await rows(pieces, id=export["id"])
    assert (count >= 4, largest <= 1024 * 1024) == (True, True)
    place = await files.workspace(members=MEMBERS)
    job, results = await files.take(content, place)
    assert (job["status"], job["failed"], results) == ("succeeded", 0, [])
    _, again = await files.export(place)
    users = {team.id(name) for name in team.ids}
    assert canonical(again, users=users) == canonical(content, users=users)


async def test_p2_two_thousand_tasks_come_back(files, rows):
    team = files.team
    of_team = {"w": team.workspace_id}
    await rows(MANY, **of_team, p=team.project_id, u=team.ids["owner"])
    for statement in (COMMENTED, BELOW, COUNTED):
        await rows(statement, **of_team)
    _, content = await files.export()
    place = await files.workspace(members=MEMBERS)
    job, results = await files.take(content, place)
    assert (job["status"], job["failed"], results) == ("succeeded", 0, [])
    users = {team.id(name) for name in team.ids}
    export, again = await files.export(place)
    assert export["manifest"]["counts"] == {"project": 1, "task": 2000, "comment": 1000}
    assert canonical(again, users=users) == canonical(content, users=users)
    progress = "SELECT sum(subtasks_total), max(subtasks_total) FROM tasks.task WHERE workspace_id = :w"
    assert await rows(progress, w=place) == await rows(progress, **of_team)


STRANGE = [
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "\\ud800"}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "title": "b"}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "estimate_minutes": 1e400}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "estimate_minutes": 99999999999999999999}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "number": 0}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "position": "n0000000012V!"}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "position": "n0000000012V0"}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "created_at": "1900-01-01T00:00:00Z"}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "created_at": "2026-01-01T00:00:00"}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "due": {"at": "2026-01-01", "timezone": "X"}}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "completion_policy": "quorum:99"}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "assignees": [{"user_id": 7}]}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "custom": {"a": NaN}}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "external_id": "x"}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "version": 7}',
    '{"kind": "task", "id": "%s", "project_id": "%s", "title": "a", "labels": "x"}',
    '{"kind": "project", "id": "%s", "name": "p", "prefix": "%.2s-"}',
    '{"kind": "project", "id": "%s", "name": "%s", "next_number": 9999999999}',
    '{"kind": "project", "id": "%s", "name": "%s", "statuses": [{"key": "x", "name": "x", "category": "done"}]}',
    '["%s", "%s"]',
    '"%.2s%.2s"',
    "\x00%.2s%.2s",
    "\ufeff{%.2s%.2s",
]


async def test_r29_whatever_is_in_a_line_only_that_line_is_broken(files):
    project = str(uuid7())
    content = line("project", id=project, name="P")
    content += "".join(one % (uuid7(), project) + "\n" for one in STRANGE)
    content = content.encode() + b"\xff\xfe{}\n" + line("label", id=str(uuid7()), name="after").encode()
    job, results = await files.take(content)
    assert (job["status"], job["total"], job["done"]) == ("succeeded", len(STRANGE) + 3, len(STRANGE) + 3)
    assert [one["line"] for one in results if one["error"]] == [*range(2, len(STRANGE) + 3)]
    assert not any(one["error"]["code"] == "NOT_ACCEPTED" for one in results)
    labels = await files.team.ok("owner", "GET", f"/labels?workspace_id={files.team.workspace_id}")
    assert [one["name"] for one in labels] == ["after"]


TAKEN = "INSERT INTO tasks.project_prefix VALUES (:w, 'ABC', :p)"
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO tasks.project %'
"""


async def test_p2_what_somebody_else_takes_meanwhile_is_done_without_line_by_line(files, database, rows):
    """The prefix is free when it is looked at, and then it is not: the database refuses both projects together."""
    team = files.team
    projects = ids(2)
    content = line("project", id=projects[0], name="A", prefix="ABC") + line("project", id=projects[1], name="B")
    async with database.writer.begin() as connection:
        await connection.execute(sql(TAKEN), {"w": team.workspace_id, "p": team.project_id})
        taking = asyncio.create_task(files.take(content))

        async def waits():
            return await rows(WAITING) == [(1,)]

        await eventually(waits)
    job, results = await taking
    assert (job["status"], job["failed"], files.warned(results)) == ("succeeded", 0, [(1, ["PREFIX_TAKEN"])])
    shown = {one["name"] for one in await team.ok("owner", "GET", f"/projects?workspace_id={team.workspace_id}")}
    assert shown == {"A", "B", "P"}


async def test_p2_a_personal_workspace_goes_to_the_inbox_of_another_with_what_is_ones_own(files):
    team = files.team
    category = await team.ok("admin", "POST", "/categories", {"name": "Mine"})
    label = await team.ok("admin", "POST", "/labels", {"name": "later", "personal": True})
    task = await team.ok("admin", "POST", "/tasks", {"title": "t", "category_id": category["id"]})
    await team.ok("admin", "PUT", f"/tasks/{task['id']}/labels/{label['id']}")
    _, content = await files.export(task["workspace_id"], "admin")
    other = await team.ok("member", "POST", "/tasks", {"title": "there"})
    job, results = await files.take(content, other["workspace_id"], "member")
    assert (job["status"], job["failed"]) == ("succeeded", 0)
    # Of two people, one's marks are not the other's.
    marks = [one for one in results if one["kind"] in {"personal_label", "watcher"}]
    assert [code for _, codes in files.warned(marks) for code in codes] == ["WATCHER_NO_ACCESS", "NOT_YOURS"]
    tasks = await team.ok("member", "GET", f"/tasks?workspace_id={other['workspace_id']}")
    assert {(one["title"], one["project_id"]) for one in tasks} == {
        ("there", other["project_id"]),
        ("t", other["project_id"]),
    }
    (mine,) = await team.ok("member", "GET", f"/categories?workspace_id={other['workspace_id']}")
    assert (mine["name"], mine["personal"]) == ("Mine", True)
    assert {one["category_id"] for one in tasks} == {None, mine["id"]}
    # Into what several share nothing comes that is one's own.
    job, results = await files.take(content, who="owner")
    assert [one["error"]["code"] for one in results if one["kind"] in {"category", "label"}] == [
        "PERSONAL_ELSEWHERE"
    ] * 2


async def test_p2_who_reads_the_audit_is_told_of_exports_and_imports_of_others(files):
    team = files.team
    await files.export(who="admin")
    await files.take(line("label", id=str(uuid7()), name="a"), who="admin")
    audit = await team.ok("owner", "GET", f"/workspaces/{team.workspace_id}/audit")
    told_of = [(one["type"], one["actor"]["id"]) for one in audit if one["entity_type"] == "job"]
    assert told_of == [("job.created", team.id("admin"))] * 2
    kinds = [change["new"] for one in audit for change in one["changes"] if change["field"] == "kind"]
    assert kinds == ["import", "export"]
