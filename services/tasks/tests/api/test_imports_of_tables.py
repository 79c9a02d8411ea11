"""P2: tables are taken in: what they name by its name, whatever they are like."""

import csv
import io

import pytest
from chassis.ids import uuid7


async def test_p2_a_table_of_titles_alone_is_taken(files):
    team = files.team
    content = "title\r\nmilk\r\n\r\nbread, white\r\nmilk\r\n'=1+1\r\n"
    for _ in range(2):
        job, results = await files.take(content, file_format="csv", project_id=str(team.project_id))
        assert (job["status"], job["failed"], files.told(results)) == ("succeeded", 1, [(4, "task", "MALFORMED_ROW")])
        shown = await team.ok("owner", "GET", f"/tasks?project_id={team.project_id}")
        # The second milk is another one, and comes once more by no second import.
        assert sorted(one["title"] for one in shown) == ["=1+1", "milk", "milk"]


async def test_p2_a_table_names_things_by_their_names(files, rows):
    team = files.team
    email = f"{uuid7()}@example.org"
    await rows(
        "INSERT INTO tasks.person (id, display_name, email_canonical, email_verified, kind, status, version)"
        " VALUES (:id, 'M', :email, true, 'human', 'active', 1)",
        id=team.ids["member"],
        email=email,
    )
    content = (
        "\ufeffTitle,Status,Priority,Project,Labels,Category,Assignees,Due,Key,Parent,Estimate minutes,mine\r\n"
        f'top,In progress,HIGH,New place,a;"b;c",Garden,{email},2026-12-01,X-1,,90,ignored\r\n'
        "below,,,New place,,,,,X-2,X-1,,\r\n"
        "elsewhere,flying,,,,,,,,,,\r\n"
        '"two\nlines",,,p,,,nobody@example.org,,,X-9,,\r\n'
    )
    job, results = await files.take(content, file_format="csv")
    assert (job["failed"], files.told(results), files.warned(results)) == (
        1,
        [(1, None, None), (4, "task", "STATUS_NOT_FOUND"), (5, "task", None)],
        [(1, ["UNKNOWN_FIELD"]), (5, ["NOT_A_MEMBER", "UNKNOWN_REFERENCE"])],
    )
    assert results[0]["warnings"][0]["field"] == "mine"
    projects = {
        one["name"]: one["id"] for one in await team.ok("owner", "GET", f"/projects?workspace_id={team.workspace_id}")
    }
    assert set(projects) == {"P", "New place", "Imported"}
    below, top = await team.ok("owner", "GET", f"/tasks?project_id={projects['New place']}&include=labels")
    assert (top["title"], top["status"], top["priority"], top["estimate_minutes"]) == ("top", "in_progress", "high", 90)
    assert (top["assignees"], top["due"]["date"]) == ([team.id("member")], "2026-12-01")
    assert [one["name"] for one in top["label_details"]] == ["a", "b;c"]
    assert below["parent_id"] == top["id"]


async def test_p2_a_table_makes_the_statuses_that_a_project_has_not(files, settings):
    team = files.team
    content = (
        "title,status,status_category,project,key,parent\r\n"
        "top,in_review,in_progress,New,X-1,\r\n"
        "below,Waiting for ann,backlog,New,X-2,X-1\r\n"
        "shipped,shipped,done,New,,X-1\r\n"
        "another,in review,in_progress,New,,\r\n"
        "plain,todo,todo,New,,\r\n"
    )
    _, results = await files.take(content, file_format="csv", dry_run="true")
    assert results == []
    for _ in range(2):
        job, results = await files.take(content, file_format="csv")
        assert (job["failed"], results) == (0, [])
    (project,) = [
        one
        for one in await team.ok("owner", "GET", f"/projects?workspace_id={team.workspace_id}")
        if one["name"] == "New"
    ]
    tasks = {one["title"]: one for one in await team.ok("owner", "GET", f"/tasks?project_id={project['id']}")}
    assert {title: one["status"] for title, one in tasks.items()} == {
        "top": "in_review",
        "below": "waiting_for_ann",
        "shipped": "shipped",
        "another": "in_review",
        "plain": "todo",
    }
    assert tasks["below"]["parent_id"] == tasks["shipped"]["parent_id"] == tasks["top"]["id"]
    assert tasks["top"]["progress"] == {"done": 1, "total": 2}
    statuses = await team.ok("owner", "GET", f"/projects/{project['id']}/statuses")
    assert [(one["key"], one["name"], one["category"]) for one in statuses[4:]] == [
        ("in_review", "In review", "in_progress"),
        ("waiting_for_ann", "Waiting for ann", "backlog"),
        ("shipped", "Shipped", "done"),
    ]


async def test_p2_a_table_without_room_for_a_status_gives_another_of_its_category(files, settings):
    team = files.team
    for number in range(settings.tasks.max_statuses - 4):
        body = {"name": f"S{number}", "category": "todo"}
        await team.ok("owner", "POST", f"/projects/{team.project_id}/statuses", body)
    content = "title,status,status_category\r\nt,in_review,in_progress\r\n"
    job, results = await files.take(content, file_format="csv", project_id=str(team.project_id))
    assert (job["failed"], files.warned(results)) == (0, [(2, ["STATUS_NOT_FOUND"])])
    (task,) = await team.ok("owner", "GET", f"/tasks?project_id={team.project_id}")
    assert task["status"] == "in_progress"


async def test_p2_the_same_rows_into_another_project_are_others(files):
    team = files.team
    place = str(team.workspace_id)
    other = await team.ok("owner", "POST", "/projects", {"name": "Other", "workspace_id": place})
    content = (
        "id,title,key,parent,external_source,external_id\r\n"
        f"{uuid7()},by id,X-1,,,\r\n"
        ",by all,,X-1,,\r\n"
        ",by another id,,,jira,J-1\r\n"
    )
    for project_id in (str(team.project_id), other["id"], str(team.project_id), other["id"]):
        job, results = await files.take(content, file_format="csv", project_id=project_id)
        assert (job["failed"], results) == (0, [])
    for project_id in (str(team.project_id), other["id"]):
        shown = {one["title"]: one for one in await team.ok("owner", "GET", f"/tasks?project_id={project_id}")}
        assert sorted(shown) == ["by all", "by another id", "by id"]
        assert shown["by all"]["parent_id"] == shown["by id"]["id"]


async def test_p2_rows_may_be_below_tasks_that_are_there_already(files, rows):
    team = files.team
    above = await team.task(title="above")
    other = await team.ok("owner", "POST", "/projects", {"name": "Other", "workspace_id": str(team.workspace_id)})
    far = await team.task(title="far", project_id=other["id"])
    content = f"title,parent\r\nbelow,{above['key'].lower()}\r\nbeside,{far['key']}\r\nlost,NO-7\r\n"
    for dry_run in ("true", "false"):
        into = {"file_format": "csv", "project_id": str(team.project_id), "dry_run": dry_run}
        job, results = await files.take(content, **into)
        assert (job["failed"], files.warned(results)) == (0, [(3, ["UNKNOWN_REFERENCE"]), (4, ["UNKNOWN_REFERENCE"])])
    tasks = {one["title"]: one for one in await team.ok("owner", "GET", f"/tasks?project_id={team.project_id}")}
    assert {title: one["parent_id"] for title, one in tasks.items()} == {
        "above": None,
        "below": above["id"],
        "beside": None,
        "lost": None,
    }
    assert tasks["above"]["progress"] == {"done": 0, "total": 1}


async def test_p2_rows_of_a_table_may_have_as_many_lines_as_they_need(files):
    texts = ["\n".join(f"line {n}" for n in range(count)) for count in (3, 250, 2, 120)]
    rows = [["title", "description"], *([f"plain {n}", ""] for n in range(97))]
    rows += [[f"long {n}", text] for n, text in enumerate(texts)]
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    place = await files.workspace()
    job, results = await files.take(written.getvalue(), place, file_format="csv")
    assert results == []
    assert (job["status"], job["failed"]) == ("succeeded", 0)
    made = await files.team.rows("SELECT title, description FROM tasks.task WHERE workspace_id = :w", w=place)
    assert sorted(made) == sorted((title, text or None) for title, text in rows[1:])


async def test_p2_a_table_without_titles_fails_as_a_whole(files):
    job, _ = await files.take("name\r\nmilk\r\n", file_format="csv")
    assert (job["status"], job["error"]["code"]) == ("failed", "TITLE_COLUMN_MISSING")


async def test_p2_a_table_that_names_a_column_twice_fails_as_a_whole(files):
    job, _ = await files.take("title,due,Title\r\nmilk,,bread\r\n", file_format="csv")
    assert (job["status"], job["error"]["code"]) == ("failed", "COLUMN_REPEATED")


async def test_p2_what_a_table_has_wrong_is_told_with_what_would_be_right(files):
    rows = ["title,due,priority", "a,soon,", "b,01.12.2026,", "c,2026-12-01 09:00,", "d,,hihg", "e,2026-12-01,High"]
    content = "".join(f"{row}\r\n" for row in rows)
    _, results = await files.take(content, await files.workspace(), file_format="csv")
    *dues, priority = [one["error"] for one in results]
    assert [(one["line"], one["error"]["field"]) for one in results] == [
        (2, "due"),
        (3, "due"),
        (4, "due"),
        (5, "priority"),
    ]
    for one in dues:
        assert (one["code"], one["errors"]) == ("INVALID_FORMAT", None)
        assert "a day (2026-12-01)" in one["message"]
        assert "2026-12-01T09:00:00Z" in one["message"]
    [entry] = priority["errors"]
    assert (entry["code"], entry["hint"]) == ("NOT_ALLOWED", "did you mean high?")
    assert entry["allowed"] == ["none", "low", "medium", "high", "urgent"]


WIDE = "title," + ",".join(["other"] * 100_000)
LONG_CELL = "x" * 10 * 1024 * 1024


@pytest.mark.parametrize(
    ("content", "made", "problems", "warnings"),
    [
        # An end of a row in quotes that are never closed: the line that begins with them is broken.
        ('title\r\nmilk\r\n"bread\r\ntea\r\n', ["milk", "tea"], [(3, "MALFORMED_ROW")], []),
        ('title,description\r\nmilk,"a "b" c"\r\ntea,\r\n', ["tea"], [(2, "MALFORMED_ROW")], []),
        ("title,due\r\nmilk,2026-12-01,more,cells\r\ntea,\r\n", ["tea"], [(2, "MALFORMED_ROW")], []),
        ("title,due\r\nmilk,,,\r\n", ["milk"], [], []),
        (
            "title,description\r\nmi\0lk,\r\ntea,a\0b\r\nbread,\r\n",
            ["bread"],
            [(2, "NULL_CHARACTER"), (3, "NULL_CHARACTER")],
            [],
        ),
        ("\ufefftitle\r\nmilk\r\n", ["milk"], [], []),
        ('\ufeff"title","due"\r\n"milk",\r\n', ["milk"], [], []),
        ("title\nmilk\n\n\ntea", ["milk", "tea"], [], []),
        ("title\r\n", [], [], []),
        ("title", [], [], []),
        (f"{WIDE}\r\nmilk,1\r\n", ["milk"], [], [(1, ["UNKNOWN_FIELD"])]),
        (f"title\r\nmilk\r\n{LONG_CELL}\r\ntea\r\n", ["milk", "tea"], [(3, "TOO_LONG")], []),
        (f"title,description\r\nmilk,{'x' * 200_000}\r\ntea,\r\n", ["tea"], [(2, "MALFORMED_ROW")], []),
        (b"title\r\nmilk\r\n\xff\xfe\r\ntea\r\n", ["milk", "tea"], [(3, "MALFORMED_ROW")], []),
    ],
)
async def test_p2_whatever_a_table_is_like_each_row_is_taken_or_told_of(files, content, made, problems, warnings):
    place = await files.workspace()
    job, results = await files.take(content, place, file_format="csv")
    assert (job["status"], job["error"]) == ("succeeded", None)
    found = await files.team.rows("SELECT title FROM tasks.task WHERE workspace_id = :w ORDER BY number", w=place)
    assert [title for (title,) in found] == made
    assert [(one["line"], one["error"]["code"]) for one in results if one["error"]] == problems
    assert files.warned(results) == warnings
    assert job["failed"] == len(problems)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("title\r\nmilk\r\n".encode("utf-16"), "FILE_NOT_UTF8"),
        ("title\r\nmilk\r\n".encode("utf-16-le"), "FILE_NOT_UTF8"),
        ("title\r\nmilk\r\n".encode("utf-16-be"), "FILE_NOT_UTF8"),
        ("title\r\nmilk\r\n".encode("utf-32"), "FILE_NOT_UTF8"),
        ("title,gr\u00f6\u00dfe\r\nmilk,1\r\n".encode("latin-1"), "FILE_NOT_UTF8"),
        ("title,other\0name\r\nmilk,1\r\n", "FILE_NOT_UTF8"),
        ('title,"other\n\0name"\r\nmilk,1\r\n', "FILE_NOT_UTF8"),
        ("\0", "FILE_NOT_UTF8"),
        ("title\rmilk\rtea\r", "TITLE_COLUMN_MISSING"),
        ("title;due\r\nmilk;\r\n", "TITLE_COLUMN_MISSING"),
        ('"title\r\nmilk\r\n', "TITLE_COLUMN_MISSING"),
        ("\r\n\r\n", "TITLE_COLUMN_MISSING"),
        ("\ufeff", "TITLE_COLUMN_MISSING"),
        (",".join(f"{number:0>20}" for number in range(100_000)) + "\r\nmilk\r\n", "TITLE_COLUMN_MISSING"),
    ],
)
async def test_p2_a_table_that_can_not_be_read_at_all_says_why(files, content, code):
    job, results = await files.take(content, file_format="csv")
    assert (job["status"], job["error"]["code"], job["done"]) == ("failed", code, 0)
    assert results == []
