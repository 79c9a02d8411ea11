"""P2: what is in the lines of a file is taken into a workspace, each line for itself."""

import asyncio
from uuid import UUID

from chassis.ids import uuid7
from sqlalchemy import text as sql
from testkit.waiting import eventually

TIMES = ("created_at", "updated_at")


def ids(count):
    return [str(uuid7()) for _ in range(count)]


async def test_p2_a_broken_line_is_told_with_its_number_and_the_rest_goes_on(files):
    team = files.team
    project, label, good, child, comment = ids(5)
    lines = [
        files.line("project", id=project, name="P"),
        "{broken\n",
        files.line("label", id=label, name=""),
        files.line("task", id=good, project_id=project, title="good", labels=[label]),
        files.line("task", id=str(uuid7()), project_id=project, title="x", status="flying"),
        files.line("task", id=str(uuid7()), project_id=str(uuid7()), title="x"),
        files.line("task", id=str(uuid7()), project_id=project, title="x" * 501),
        files.line("task", id=child, project_id=project, title="child", parent_id=str(uuid7())),
        files.line("task", id=str(uuid7()), project_id=project, title="x", start="2026-12-02", deadline="2026-12-01"),
        files.line("task", id=str(uuid7()), project_id=project, title=7, estimate_minutes="x"),
        files.line("unicorn", id=str(uuid7())),
        "\n",
        files.line("comment", id=comment, task_id=good, body="kept"),
        files.line("comment", id=str(uuid7()), task_id=str(uuid7()), body="lost"),
        files.line("reaction", comment_id=comment, user_id=team.id("owner"), emoji="no"),
        files.line("label", id=str(uuid7()), name="last"),
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
    broken = files.line("project", id=project, name="P") + files.line("task", id=task, project_id=project, title="")
    job, _ = await files.take(broken)
    assert job["failed"] == 1
    job, results = await files.take(broken.replace('"title": ""', '"title": "whole"'))
    assert (job["failed"], results) == (0, [])
    shown = await files.team.ok("owner", "GET", f"/tasks/{await made(files, task)}")
    assert shown["title"] == "whole"


async def test_p2_who_is_no_member_is_left_out_with_a_warning(files):
    team = files.team
    project, task = ids(2)
    gone = str(uuid7())
    lines = [
        files.line("project", id=project, name="P", members=[{"user_id": gone, "role": "manager"}]),
        files.line("task", id=task, project_id=project, title="t", created_by=gone, assignees=[{"user_id": gone}]),
        files.line("comment", id=str(uuid7()), task_id=task, body="Words", author_id=gone),
        files.line("watcher", task_id=task, user_id=gone),
        files.line("star", task_id=task, user_id=team.id("member")),
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
    content = files.line("project", id=project, name="P", created_by=member)
    content += files.line("task", id=task, project_id=project, title="a", created_by=member)
    content += files.line("comment", id=comment, task_id=task, author_id=member, body="Yes.")
    content += files.line("task_metadata", task_id=task, namespace="crm", owner_id=member, shared=True, value={"a": 1})
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


async def test_p2_numbers_and_prefixes_are_kept_where_they_are_free(files):
    team = files.team
    first, second = ids(2)
    tasks = ids(3)
    lines = [
        files.line("project", id=first, name="A", prefix="ABC", next_number=50),
        files.line("project", id=second, name="B", prefix="ABC"),
        files.line("task", id=tasks[0], project_id=first, title="a", number=7),
        files.line("task", id=tasks[1], project_id=first, title="b", number=7),
        files.line("task", id=tasks[2], project_id=first, title="c"),
    ]
    _, results = await files.take("".join(lines))
    assert files.warned(results) == [(2, ["PREFIX_TAKEN"])]
    keys = [(await team.ok("owner", "GET", f"/tasks/{await made(files, one)}"))["key"] for one in tasks]
    assert keys == ["ABC-7", "ABC-50", "ABC-51"]
    third, late = ids(2)
    await files.take(
        files.line("project", id=third, name="C") + files.line("task", id=late, project_id=third, title="d", number=3)
    )
    next_one = await team.task(project_id=await made(files, third))
    assert next_one["key"].endswith("-4")


async def test_p2_a_task_that_was_there_counts_subtasks_that_come_later_and_is_changed_by_nobody(files, rows):
    team = files.team
    project, parent = ids(2)
    at = "2026-01-02T03:04:05+00:00"
    content = files.line("project", id=project, name="P")
    content += files.line("task", id=parent, project_id=project, title="above", created_at=at, updated_at=at)
    content += "".join(files.line("label", id=str(uuid7()), name=f"label {number}") for number in range(120))
    for status in ("done", "todo", "cancelled"):
        content += files.line(
            "task", id=str(uuid7()), project_id=project, title=status, status=status, parent_id=parent
        )
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
        files.line("label", id=label, name="urgent"),
        files.line("project", id=project, name="P"),
        files.line("task", id=task, project_id=project, title="t", labels=[label]),
    ]
    job, results = await files.take("".join(lines))
    assert (job["failed"], results) == (0, [])
    assert (await team.ok("owner", "GET", f"/tasks/{await made(files, task)}"))["labels"] == [there["id"]]


async def test_p2_what_was_deleted_for_good_is_made_again(files, rows):
    team = files.team
    project, task = ids(2)
    content = files.line("project", id=project, name="P") + files.line("task", id=task, project_id=project, title="t")
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
        files.line("project", id=project, name="P"),
        files.line("task", id=task, project_id=project, title="a", **external),
        files.line("task", id=again, project_id=project, title="b", **external),
        files.line("task_metadata", task_id=task, namespace="crm", owner_id=str(uuid7()), value={"a": 2}),
        files.line("watcher", task_id=task, user_id=team.id("member"), is_muted=True),
        files.line("watcher", task_id=task, user_id=team.id("admin"), is_watching=False),
        files.line("star", task_id=task, user_id=team.id("member")),
        files.line("comment", id=comment, task_id=task, body="Taken back.", deleted_at="2026-11-01T00:00:00Z"),
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
        files.line("project", id=project, name="Old")
        + files.line("task", id=task, project_id=project, title="a")
        + files.line("comment", id=comment, task_id=task, body="hello")
    )
    _, results = await files.take(there)
    assert results == []
    [[made]] = await rows("SELECT id FROM tasks.project WHERE workspace_id = :w AND name = 'Old'", w=place)
    await team.ok("owner", "POST", f"/projects/{made}/archive")
    [[before]] = await rows("SELECT max(seq) FROM tasks.change WHERE workspace_id = :w", w=place)
    more = (
        files.line("task", id=late, project_id=project, title="b")
        + files.line("checklist_item", id=late, task_id=task, text="b")
        + files.line("comment", id=late, task_id=task, body="b")
        + files.line("reaction", comment_id=comment, user_id=team.id("owner"), emoji="\U0001f44d")
        + files.line("watcher", **of_task)
        + files.line("star", **of_task)
    )
    _, results = await files.take(there + more)
    assert [(one["line"], one["error"]["code"]) for one in results] == [(n, "PROJECT_ARCHIVED") for n in range(4, 10)]
    told = "SELECT type FROM tasks.change WHERE workspace_id = :w AND seq > :before AND entity_type <> 'job'"
    assert await rows(told, w=place, before=before) == []


TAKEN = "INSERT INTO tasks.project_prefix VALUES (:w, 'ABC', :p)"
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO tasks.project %'
"""


async def test_p2_what_somebody_else_takes_meanwhile_is_done_without_line_by_line(files, database, rows):
    """The prefix is free when it is looked at, and then it is not: the database refuses both projects together."""
    team = files.team
    projects = ids(2)
    content = files.line("project", id=projects[0], name="A", prefix="ABC") + files.line(
        "project", id=projects[1], name="B"
    )
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
    await files.take(files.line("label", id=str(uuid7()), name="a"), who="admin")
    audit = await team.ok("owner", "GET", f"/workspaces/{team.workspace_id}/audit")
    told_of = [(one["type"], one["actor"]["id"]) for one in audit if one["entity_type"] == "job"]
    assert told_of == [("job.created", team.id("admin"))] * 2
    kinds = [change["new"] for one in audit for change in one["changes"] if change["field"] == "kind"]
    assert kinds == ["import", "export"]
