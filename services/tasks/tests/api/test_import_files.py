"""P2: files of imports as they are sent: which are taken, which of their lines, and how long they are kept."""

import json
from dataclasses import replace
from uuid import UUID

import httpx2
import pytest
from chassis.ids import uuid7
from chassis.web.health import Health
from tasks_service.main import create_app
from tasks_service.scheduler import jobs as scheduled
from testkit.jobs import run_to_end


async def test_p2_lines_in_another_encoding_are_each_told_of(files):
    job, results = await files.take(files.line("label", id=str(uuid7()), name="a").encode("utf-16"))
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
    long = files.line("label", id=str(uuid7()), name="x", color="y" * 3 * 1024 * 1024)
    job, results = await files.take(long + files.line("label", id=str(uuid7()), name="after"))
    assert (job["status"], files.told(results)) == ("succeeded", [(1, None, "TOO_LONG")])
    assert job["done"] == job["total"] == 2
    labels = await files.team.ok("owner", "GET", f"/labels?workspace_id={files.team.workspace_id}")
    assert [one["name"] for one in labels] == ["after"]


async def test_p2_lines_of_other_systems_begin_with_a_mark_and_end_as_they_do_there(files):
    lines = [files.line("label", id=str(uuid7()), name=name).replace("\n", "\r\n") for name in ("a", "b")]
    job, results = await files.take("\ufeff" + "".join(lines))
    assert (job["status"], job["done"], job["failed"], results) == ("succeeded", 2, 0, [])
    labels = await files.team.ok("owner", "GET", f"/labels?workspace_id={files.team.workspace_id}")
    assert [one["name"] for one in labels] == ["a", "b"]


async def test_p2_the_file_is_gone_when_it_has_been_taken_in(files, rows):
    job, _ = await files.take(files.line("label", id=str(uuid7()), name="a"))
    assert await rows("SELECT count(*) FROM tasks.file_part WHERE file_id = :id", id=job["id"]) == [(0,)]
    assert await rows("SELECT count(*) FROM tasks.import_seen WHERE job_id = :id", id=job["id"]) == [(0,)]


async def test_p2_a_file_that_nobody_takes_in_any_more_is_soon_gone(files, database, settings, rows):
    content, place = files.line("label", id=str(uuid7()), name="a"), files.team.workspace_id
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
    content = files.line("label", id=str(uuid7()), name="a")
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
    content = files.line("project", id=project, name="P")
    content += "".join(one % (uuid7(), project) + "\n" for one in STRANGE)
    content = content.encode() + b"\xff\xfe{}\n" + files.line("label", id=str(uuid7()), name="after").encode()
    job, results = await files.take(content)
    assert (job["status"], job["total"], job["done"]) == ("succeeded", len(STRANGE) + 3, len(STRANGE) + 3)
    assert [one["line"] for one in results if one["error"]] == [*range(2, len(STRANGE) + 3)]
    assert not any(one["error"]["code"] == "NOT_ACCEPTED" for one in results)
    labels = await files.team.ok("owner", "GET", f"/labels?workspace_id={files.team.workspace_id}")
    assert [one["name"] for one in labels] == ["after"]
