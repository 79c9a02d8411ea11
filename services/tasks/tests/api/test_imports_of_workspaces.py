"""P2: what comes of an export and an import of a whole workspace is equal but for ids."""

import asyncio
import csv
import io
import json
import re
from uuid import UUID

from chassis.ids import uuid7
from sqlalchemy import select
from tasks_service.relay import change, envelope_of


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


async def test_p2_a_dry_run_makes_nothing_and_tells_what_would_be_wrong(files, rows):
    team = files.team
    await furnish(team)
    _, content = await files.export()
    place = await files.workspace(members=MEMBERS)
    before = await state_of(rows, place)
    job, results = await files.take(content, place, dry_run="true")
    assert (job["status"], job["failed"], results) == ("succeeded", 0, [])
    project = str(uuid7())
    wrong = files.line("project", id=project, name="P") + files.line(
        "task", id=str(uuid7()), project_id=project, title="x", status="no"
    )
    _, results = await files.take(wrong, place, dry_run="true")
    assert files.told(results) == [(2, "task", "STATUS_NOT_FOUND")]
    assert await state_of(rows, place) == before
    assert await rows("SELECT count(*) FROM tasks.import_source WHERE workspace_id = :w", w=place) == [(0,)]
    assert await rows("SELECT count(*) FROM tasks.import_seen WHERE workspace_id = :w", w=place) == [(0,)]


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
