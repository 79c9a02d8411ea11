"""P2: a workspace as a file, fetched by a link that is signed."""

import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from chassis.clock import utcnow
from chassis.db.row_security import bind
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from tasks_service.db import ROW_SECURITY
from tasks_service.exports.rules import ExportTerms, Link, path_of
from tasks_service.exports.service import content_of, write_step
from tasks_service.jobs.schemas import RunningJob
from tasks_service.scheduler import jobs as scheduled
from testkit.jobs import run_to_end

SECRET = "a secret of the tests, long enough"
TERMS = ExportTerms.of(SECRET, timedelta(days=7))


def lines_of(content):
    return [json.loads(line) for line in content.decode().splitlines()]


def of_kind(content, kind):
    return [line for line in lines_of(content) if line["kind"] == kind]


def link_to(export_id, user_id, *, seconds=60, terms=TERMS):
    expires = int((utcnow() + timedelta(seconds=seconds)).timestamp())
    return path_of(Link(export_id, user_id, expires, terms.sign(export_id, user_id, expires)))


async def test_p2_an_export_is_lines_in_order_with_a_checksum(files):
    team = files.team
    label = await team.ok("owner", "POST", "/labels", {"name": "urgent", "workspace_id": str(team.workspace_id)})
    task = await team.task(labels=[label["id"]], assignees=[team.id("member")], due="2026-12-01")
    await team.task(title="below", parent_id=task["id"])
    await team.ok("member", "POST", f"/tasks/{task['id']}/comments", {"body": "Which?"})
    export, content = await files.export()
    lines = lines_of(content)
    kinds = [line["kind"] for line in lines]
    assert (kinds[:5], kinds[-1]) == (["head", "project", "label", "task", "task"], "end")
    assert (lines[0]["taskloom"], lines[0]["workspace"]) == (1, {"id": str(team.workspace_id), "name": "W"})
    assert lines[0]["include"] == ["comments"]
    counts = export["manifest"]["counts"]
    assert counts == {kind: kinds.count(kind) for kind in set(kinds) - {"head", "end"}}
    assert (counts["task"], counts["comment"]) == (2, 1)
    body = content[: content.rindex(b'{"kind":"end"')]
    assert lines[-1]["counts"] == counts
    assert lines[-1]["sha256"] == hashlib.sha256(body).hexdigest()
    assert (export["sha256"], export["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (export["status"], export["format"], export["job_id"]) == ("succeeded", "ndjson", export["id"])
    first = lines[3]
    assert (first["title"], first["labels"], first["key"]) == ("a", [label["id"]], task["key"])
    assert first["due"] == {"date": "2026-12-01"}
    assert [one["user_id"] for one in first["assignees"]] == [team.id("member")]
    assert lines[4]["parent_id"] == task["id"]


async def test_p2_subtasks_come_after_their_tasks_though_those_are_newer(files):
    team = files.team
    tasks = [await team.task(title=str(number)) for number in range(4)]
    for below, above in ((0, 1), (1, 3), (2, 3)):
        await team.ok("owner", "PATCH", f"/tasks/{tasks[below]['id']}", {"parent_id": tasks[above]["id"]})
    _, content = await files.export()
    titles = [line["title"] for line in of_kind(content, "task")]
    assert sorted(titles) == ["0", "1", "2", "3"]
    assert titles.index("3") < titles.index("1") < titles.index("0")
    assert titles.index("3") < titles.index("2")


async def test_p2_what_is_in_the_trash_is_left_out_and_so_is_what_is_somebody_elses_own(files, rows):
    team = files.team
    task, gone = await team.task(title="kept"), await team.task(title="gone")
    await team.ok("owner", "POST", f"/tasks/{task['id']}/relations", {"type": "blocks", "task_id": gone["id"]})
    await team.ok("owner", "DELETE", f"/tasks/{gone['id']}")
    for who in ("owner", "member"):
        await team.ok(who, "PUT", f"/tasks/{task['id']}/star")
        await team.ok(who, "PUT", f"/tasks/{task['id']}/metadata/{who}", {"of": who})
    await team.ok("member", "PUT", f"/tasks/{task['id']}/watchers/mute")
    _, content = await files.export()
    assert [line["title"] for line in of_kind(content, "task")] == ["kept"]
    assert of_kind(content, "relation") == []
    assert [line["user_id"] for line in of_kind(content, "star")] == [team.id("owner")]
    assert [line["namespace"] for line in of_kind(content, "task_metadata")] == ["owner"]
    assert {line["is_muted"] for line in of_kind(content, "watcher")} == {False}
    assert team.id("member") not in {line["user_id"] for line in of_kind(content, "watcher")}


async def test_p2_include_says_what_there_is_of_comments_and_history(files):
    team = files.team
    task = await team.task()
    await team.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "Words."})
    export, content = await files.export(include=["history"])
    assert of_kind(content, "comment") == []
    changes = of_kind(content, "change")
    assert export["manifest"]["counts"]["change"] == len(changes)
    told = [change["type"] for change in changes]
    # The export itself is in the log, for all who read it.
    assert told[:1] == ["task.created"]
    assert "job.created" in told
    (commented,) = [change for change in changes if change["type"] == "comment.created"]
    assert {one["field"]: one["new"] for one in commented["changes"]}["body"] is None
    assert b"Words." not in content
    _, content = await files.export(include=["history", "comments"])
    assert content.count(b"Words.") == 2
    _, content = await files.export(include=[])
    assert of_kind(content, "comment") == of_kind(content, "change") == []


async def test_p2_instants_in_files_end_with_a_z_as_everywhere(files):
    team = files.team
    task = await team.task(status="done", due={"at": "2026-12-01T08:00:00Z", "timezone": "Europe/Berlin"})
    _, content = await files.export(include=["history"])
    assert (b"+00:00", of_kind(content, "task")[0]["created_at"]) == (b"+00:00", task["created_at"])
    assert b"+00:00" not in content
    assert of_kind(content, "task")[0]["due"]["at"] == "2026-12-01T08:00:00Z"
    _, content = await files.export(format="csv")
    (row,) = csv.DictReader(io.StringIO(content.decode(), newline=""))
    assert [row[name] for name in ("created_at", "completed_at")] == [task["created_at"], task["completed_at"]]
    assert row["due"] == "2026-12-01T09:00:00+01:00[Europe/Berlin]"
    body = {"due": {"at": "2026-12-01T08:00:00Z", "timezone": "UTC"}}
    await team.ok("owner", "PATCH", f"/tasks/{task['id']}", body)
    _, content = await files.export(format="csv")
    assert b",2026-12-01T08:00:00Z[UTC]," in content
    place = await files.workspace()
    job, _ = await files.take(content, place, file_format="csv")
    assert (job["status"], job["failed"]) == ("succeeded", 0)
    _, again = await files.export(place, format="csv")
    assert b",2026-12-01T08:00:00Z[UTC]," in again


async def test_m4_a_table_has_no_formulas(files):
    team = files.team
    titles = ["=1+1", "@SUM(A1)", "'=quoted", "-1", 'with "quotes", and commas']
    for title in titles:
        await team.task(title=title, description="+\nmore")
    export, content = await files.export(format="csv")
    assert export["manifest"]["counts"] == {"task": 5}
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert [row["title"] for row in rows] == ["'=1+1", "'@SUM(A1)", "''=quoted", "'-1", titles[4]]
    assert {row["description"] for row in rows} == {"'+\nmore"}
    for row in rows:
        assert not any(re.match(r"[=+\-@\t\r]", cell) for cell in row.values())


async def test_p2_a_link_is_all_that_is_needed_and_says_how_the_file_is_to_be_treated(files):
    await files.team.task()
    export, content = await files.export(format="csv")
    answer = await files.team.api.get(export["url"])
    told = {name: answer.headers[name] for name in ("content-type", "cache-control", "content-disposition")}
    assert told == {
        "content-type": "text/csv; charset=utf-8",
        "cache-control": "private, no-store",
        "content-disposition": f'attachment; filename="taskloom-{export["id"]}.csv"',
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert int(answer.headers["content-length"]) == len(content)


async def test_p2_a_file_is_read_where_its_link_is_looked_up(files, database):
    export, content = await files.export()
    # What a replica may not have yet is not read there.
    without_replica = replace(database, reader=None)
    assert b"".join([piece async for piece in content_of(without_replica, export["id"], export["size"])]) == content


async def test_p2_another_link_is_none(files, rows, test_gateway):
    team = files.team
    export, _ = await files.export()
    mine = team.ids["owner"]
    good = link_to(export["id"], mine)
    assert (await team.api.get(good)).status_code == 200
    expires = int((utcnow() + timedelta(hours=1)).timestamp())
    other = ExportTerms.of("another secret, which is long enough", timedelta(days=7))
    bad = {
        "wrong signature": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "another secret": link_to(export["id"], mine, terms=other),
        "expired": link_to(export["id"], mine, seconds=-1),
        "for too long": path_of(Link(export["id"], mine, expires, TERMS.sign(export["id"], mine, expires))),
        "another user's": link_to(export["id"], team.ids["admin"]),
        "another export's": link_to(uuid7(), mine),
        "no signature": good[: good.index("&signature")],
        "nothing": good[: good.index("?")],
        "another signature": f"{good[: good.index('signature=')]}signature=%C3%A9",
        "no time": good.replace(good[good.index("expires=") : good.index("&user")], "expires=soon"),
        "no user": good.replace(str(mine), "me"),
        "user changed": good.replace(str(mine), str(team.ids["admin"])),
    }
    same = {"x-request-id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"}
    missing = await team.api.get(link_to(uuid7(), mine), headers=same)
    for name, path in bad.items():
        answer = await team.api.get(path, headers=same)
        assert (answer.status_code, answer.content) == (404, missing.content), name
    here = {"w": team.workspace_id, "u": mine}
    await rows("UPDATE tasks.member SET role = 'member' WHERE workspace_id = :w AND user_id = :u", **here)
    assert (await team.api.get(good)).status_code == 404
    assert (await team.ask("owner", "GET", f"/exports/{export['id']}")).status_code == 403
    await rows("DELETE FROM tasks.member WHERE workspace_id = :w AND user_id = :u", **here)
    assert (await team.api.get(good)).status_code == 404
    assert (await team.ask("owner", "GET", f"/exports/{export['id']}")).status_code == 404


async def test_p2_a_link_is_none_while_its_maker_is_locked_out_or_the_workspace_is_deleted(files, rows):
    team = files.team
    export, _ = await files.export()
    good = link_to(export["id"], team.ids["owner"])
    await rows(
        "INSERT INTO tasks.person (id, kind, version, email_verified, status) VALUES (:id, 'human', 1, true, 'active')",
        id=team.ids["owner"],
    )
    status = "UPDATE tasks.person SET status = :to WHERE id = :id"
    deleted = "UPDATE tasks.workspace SET deleted_at = CAST(:to AS timestamptz) WHERE id = :id"
    for statement, of, before, after in (
        (status, team.ids["owner"], "active", "disabled"),
        (deleted, team.workspace_id, None, utcnow()),
    ):
        assert (await team.api.get(good)).status_code == 200
        await rows(statement, id=of, to=after)
        assert (await team.api.get(good)).status_code == 404
        await rows(statement, id=of, to=before)


async def test_p2_an_export_is_its_makers_alone(files, test_gateway):
    team = files.team
    export, _ = await files.export()
    for who in ("admin", "member", "stranger"):
        assert (await team.ask(who, "GET", f"/exports/{export['id']}")).status_code == 404
    answer = await team.ask("owner", "GET", f"/exports/{export['id']}")
    assert answer.headers["cache-control"] == "no-store"
    token = test_gateway.token_headers(team.ids["owner"], "tasks:read", "tasks:write")
    answer = await team.api.get(f"/api/v1/exports/{export['id']}", headers=token)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "INSUFFICIENT_SCOPE")


async def test_a8_a_token_that_is_restricted_exports_nothing(files, test_gateway):
    team = files.team
    body = {"workspace_id": str(team.workspace_id)}
    for restriction in ({"project_ids": [team.project_id]}, {"workspace_id": team.workspace_id}):
        headers = test_gateway.token_headers(team.ids["owner"], "admin:*", "tasks:read", **restriction)
        answer = await team.api.post("/api/v1/exports", json=body, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "TOKEN_RESTRICTED")


async def test_p2_who_may_not_have_it_any_more_gets_nothing_of_it(files, rows):
    team = files.team
    job = await team.ok("admin", "POST", "/exports", {"workspace_id": str(team.workspace_id)})
    await rows(
        "UPDATE tasks.member SET role = 'member' WHERE workspace_id = :w AND user_id = :u",
        w=team.workspace_id,
        u=team.ids["admin"],
    )
    ended = await files.done(job, "admin")
    assert (ended["status"], ended["error"]["code"]) == ("failed", "FORBIDDEN")
    assert await rows("SELECT count(*) FROM tasks.file_part WHERE file_id = :id", id=job["id"]) == [(0,)]


async def test_e8_a_step_that_is_undone_leaves_nothing_and_is_done_once(files, database, rows):
    team = files.team
    await team.task()
    job = await team.ok("owner", "POST", "/exports", {"workspace_id": str(team.workspace_id)})
    row = (await rows("SELECT row_to_json(job) FROM tasks.job WHERE id = :id", id=job["id"]))[0][0]
    running = RunningJob.of({**row, "id": uuid7(), "workspace_id": team.workspace_id})

    class Killed(Exception):
        pass

    async def step(*, dies):
        async with transaction(database) as session:
            await bind(session, ROW_SECURITY.of(team.ids["owner"]))
            await write_step(session, running)
            if dies:
                raise Killed

    count = "SELECT count(*) FROM tasks.file_part WHERE file_id = :id"
    for _ in range(2):
        with pytest.raises(Killed):
            await step(dies=True)
        assert await rows(count, id=running.id) == [(0,)]
    await step(dies=False)
    assert await rows(count, id=running.id) == [(1,)]
    await files.done(job)


async def test_p2_files_are_purged_when_their_time_is_over(files, rows, database, settings):
    await files.team.task()
    export, _ = await files.export()
    await run_to_end(database, scheduled(settings), "purge-files")
    assert (await files.team.api.get(export["url"])).status_code == 200
    await rows("UPDATE tasks.job SET finished_at = now() - interval '8 days' WHERE id = :id", id=export["id"])
    late = await files.team.ok("owner", "GET", f"/exports/{export['id']}")
    assert (late["url"], late["size"], (await files.team.api.get(export["url"])).status_code) == (None, None, 404)
    await rows("UPDATE tasks.file_part SET created_at = now() - interval '9 days' WHERE file_id = :id", id=export["id"])
    await run_to_end(database, scheduled(settings), "purge-files")
    assert await rows("SELECT count(*) FROM tasks.file_part WHERE file_id = :id", id=export["id"]) == [(0,)]


async def test_p2_exports_that_are_asked_for_at_once_are_each_whole(files):
    for number in range(30):
        await files.team.task(title=str(number))
    body = {"workspace_id": str(files.team.workspace_id)}
    exports = [await files.team.ok("owner", "POST", "/exports", body) for _ in range(3)]
    ended = [await files.done(one) for one in exports]
    shown = [await files.team.ok("owner", "GET", f"/exports/{one['id']}") for one in ended]
    contents = [(await files.team.api.get(one["url"])).content for one in shown]
    assert [len(of_kind(content, "task")) for content in contents] == [30] * 3
    # But for the first line, which says when, and the last, which has the checksum of that.
    assert len({b"".join(content.splitlines(keepends=True)[1:-1]) for content in contents}) == 1


COMMENTED = """
    INSERT INTO tasks.comment (id, workspace_id, task_id, author_id, body, mentions, version, created_at)
    SELECT uuidv7(), :w, CAST(:t AS uuid), :u, 'Comment ' || n, '{}', 1, now() FROM generate_series(1, :n) AS n
"""
REACTED = """
    INSERT INTO tasks.reaction (workspace_id, comment_id, emoji, user_id, created_at)
    SELECT :w, id, CASE n WHEN 1 THEN '👍' ELSE '🎉' END, :u, now()
    FROM tasks.comment, generate_series(1, 2) AS n WHERE workspace_id = :w
"""
ATTACHED = """
    INSERT INTO tasks.search_document (id, kind, project_id, task_id, title, version, vector)
    VALUES (uuidv7(), 'attachment', :p, CAST(:t AS uuid), 'plan.pdf', 1, '')
"""


async def test_p2_what_one_task_has_much_of_is_told_once_over_many_reads(files, rows):
    team = files.team
    tasks = [await team.task(title=str(number)) for number in range(3)]
    by_owner = {"w": team.workspace_id, "u": team.ids["owner"]}
    for task, count in zip(tasks, (430, 0, 200), strict=True):
        await rows(COMMENTED, **by_owner, t=task["id"], n=count)
    await rows(REACTED, **by_owner)
    export, content = await files.export()
    comments, reactions = of_kind(content, "comment"), of_kind(content, "reaction")
    assert (len(comments), len({one["id"] for one in comments})) == (630, 630)
    assert (len(reactions), len({(one["comment_id"], one["emoji"]) for one in reactions})) == (1260, 1260)
    assert (export["manifest"]["counts"]["comment"], export["manifest"]["counts"]["watcher"]) == (630, 3)


async def test_p2_an_export_may_be_of_what_a_filter_finds(files):
    team = files.team
    top = await team.task(title="top", priority="high")
    place = str(team.project_id)
    for first in (0, 125):
        batch = [{"op": "create", "data": {"title": f"plain {first + n}", "project_id": place}} for n in range(125)]
        await team.ok("owner", "POST", "/tasks/bulk", {"operations": batch})
    below = await team.task(title="below", parent_id=top["id"], priority="urgent")
    alone = await team.task(title="alone", parent_id=below["id"])
    for task in (top, below, alone):
        await team.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": f"of {task['title']}"})
    given = "priority in (high, urgent) and created_by = me and created_at < today()+1d"
    export, content = await files.export(filter=given)
    assert export["manifest"]["counts"] == {"project": 1, "task": 2, "comment": 2, "watcher": 2}
    assert [line["title"] for line in of_kind(content, "task")] == ["top", "below"]
    assert [line["body"] for line in of_kind(content, "comment")] == ["of top", "of below"]
    assert export["filter"] == lines_of(content)[0]["filter"]
    assert {"field": "created_by", "op": "=", "value": team.id("owner")} in export["filter"]["and"]
    _, table = await files.export(format="csv", filter={"field": "title", "op": "starts_with", "value": "plain"})
    assert len(list(csv.DictReader(io.StringIO(table.decode())))) == 250
    named = {"name": "a", "workspace_id": str(team.workspace_id), "filter": "priority = urgent"}
    kept = await team.ok("owner", "POST", "/filters", named)
    both, table = await files.export(format="csv", filter="title = below", filter_id=kept["id"])
    assert [row["title"] for row in csv.DictReader(io.StringIO(table.decode()))] == ["below"]
    assert len(both["filter"]["and"]) == 2
    _, nothing = await files.export(format="csv", filter="title = nothing")
    assert len(nothing.splitlines()) == 1
    # As JSON it is longer than what is taken.
    long = " or ".join(f"title = '{number:070}'" for number in range(45))
    given = f"{long} or created_by = me and title = top"
    _, one = await files.export(format="csv", filter=given)
    assert len(one.splitlines()) == 2
    kept = {"name": "long", "filter": " or ".join(f"priority = {one}" for one in ("high", "low") * 20)}
    kept = await team.ok("owner", "POST", "/filters", {**kept, "workspace_id": str(team.workspace_id)})
    _, one = await files.export(format="csv", filter=given, filter_id=kept["id"])
    assert len(one.splitlines()) == 2


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"filter": "title ="}, 400, "INVALID_FILTER"),
        ({"filter": "tile = a"}, 422, "UNKNOWN_FIELD"),
        ({"filter": "title = a", "include": ["history"]}, 422, "HISTORY_NOT_FILTERED"),
        ({"filter": 7}, 422, "WRONG_TYPE"),
        ({"filter_id": str(uuid7())}, 422, "FILTER_NOT_FOUND"),
        ({"filter_id": "words"}, 422, "NOT_ALLOWED"),
    ],
)
async def test_p2_an_export_of_what_is_no_filter_is_refused(files, more, status, code):
    body = {"workspace_id": str(files.team.workspace_id), **more}
    if more.get("filter_id") == "words":
        kept = {"name": "a", "workspace_id": body["workspace_id"], "q": "milk"}
        body["filter_id"] = (await files.team.ok("owner", "POST", "/filters", kept))["id"]
    answer = await files.team.ask("owner", "POST", "/exports", body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


async def test_p2_names_of_attachments_are_told_where_they_are_asked_for(files, rows):
    team = files.team
    task = await team.task()
    await rows(ATTACHED, p=team.project_id, t=task["id"])
    _, content = await files.export(include=["attachments"])
    assert [(one["task_id"], one["name"]) for one in of_kind(content, "attachment")] == [(task["id"], "plan.pdf")]
    _, content = await files.export()
    assert of_kind(content, "attachment") == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "REQUIRED"),
        ({"workspace_id": "W"}, 422, "INVALID_ID"),
        ({"format": "xlsx"}, 422, "NOT_ALLOWED"),
        ({"include": ["passwords"]}, 422, "NOT_ALLOWED"),
        ({"filters": "x"}, 422, "UNKNOWN_FIELD"),
        ({"filter": "x"}, 400, "INVALID_FILTER"),
    ],
)
async def test_p2_what_is_no_export_is_refused(files, body, status, code):
    whole = body if "workspace_id" in body or not body else {"workspace_id": str(files.team.workspace_id), **body}
    answer = await files.team.ask("owner", "POST", "/exports", whole)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)
