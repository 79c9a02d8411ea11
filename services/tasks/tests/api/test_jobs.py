"""E8: jobs are started, seen and cancelled, by and for their maker alone."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from chassis.clock import utcnow
from chassis.errors import ErrorDetail, Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from tasks_service.jobs.rules import MAX_OPEN
from tasks_service.jobs.schemas import JobKind, Progress
from tasks_service.scheduler import jobs as scheduled
from testkit.jobs import run_to_end
from testkit.waiting import eventually

JOBS = "/api/v1/jobs"


async def test_e8_a_job_is_done_in_steps_and_tells_what_came_of_each_operation(workshop, rows):
    job_id = await workshop.start(titles=("a", "no", "c"), result_url="/api/v1/jobs/x/results")
    queued = await workshop.team.ask("owner", "GET", f"/jobs/{job_id}")
    shown = queued.json()["data"]
    assert (queued.headers["etag"], queued.headers["retry-after"]) == ('"1"', "1")
    assert {name: shown[name] for name in ("status", "total", "done", "failed", "error", "cancelable", "kind")} == {
        "status": "queued",
        "total": 3,
        "done": 0,
        "failed": 0,
        "error": None,
        "cancelable": True,
        "kind": "bulk",
    }
    assert [one["outcome"] for one in await workshop.results(job_id)] == ["pending"] * 3
    job = await workshop.done(job_id)
    assert (job["status"], job["total"], job["done"], job["failed"]) == ("succeeded", 3, 3, 1)
    assert (job["cancelable"], job["result_url"]) == (False, "/api/v1/jobs/x/results")
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    results = await workshop.results(job_id)
    assert [(one["index"], one["outcome"], one["status"]) for one in results] == [
        (0, "succeeded", 201),
        (1, "failed", 422),
        (2, "succeeded", 201),
    ]
    assert results[1]["error"] == {**workshop.refusal, "errors": None}
    assert await workshop.titles() == ["a", "c"]
    read = await workshop.team.ask("owner", "GET", f"/jobs/{job_id}")
    assert "retry-after" not in read.headers
    again = await workshop.team.ask("owner", "GET", f"/jobs/{job_id}", **{"if-none-match": read.headers["etag"]})
    assert again.status_code == 304


async def test_e8_a_job_is_done_in_the_name_and_by_the_request_of_its_maker(workshop, rows):
    job_id = await workshop.start("member", titles=("a",))
    async with workshop.working():
        await workshop.ended(job_id, "member")
    log = await rows(
        "SELECT type, request_id, actor->>'id', audience FROM tasks.change WHERE workspace_id = :w ORDER BY seq",
        w=workshop.team.workspace_id,
    )
    maker = workshop.team.ids["member"]
    assert [(kind, request, actor) for kind, request, actor, _ in log] == [
        ("job.created.v1", "request-of-the-job", str(maker)),
        ("task.created.v1", "request-of-the-job", str(maker)),
        ("job.updated.v1", "request-of-the-job", str(maker)),
    ]
    assert {tuple(audience) for kind, _, _, audience in log if kind.startswith("job.")} == {(maker,)}


async def test_e8_progress_is_told_once_a_second_at_most_and_at_the_end(workshop, rows):
    job_id = await workshop.start(titles=[str(one) for one in range(12)])
    await workshop.done(job_id)
    told = await rows("SELECT resource FROM tasks.change WHERE entity_id = :id ORDER BY seq", id=job_id)
    (seconds,) = (
        await rows("SELECT extract(epoch FROM finished_at - created_at) FROM tasks.job WHERE id = :id", id=job_id)
    )[0]
    assert 2 <= len(told) <= 2 + seconds
    last = told[-1][0]
    assert (last["status"], last["done"], last["cancelable"]) == ("succeeded", 12, False)


async def test_e8_a_job_is_its_makers_alone(workshop):
    job_id = await workshop.start("member")
    for path in ("", "/results"):
        hidden = await workshop.team.ask("owner", "GET", f"/jobs/{job_id}{path}")
        absent = await workshop.team.ask("owner", "GET", f"/jobs/{uuid7()}{path}")
        assert (hidden.status_code, hidden.json()["errors"]) == (404, absent.json()["errors"])
    assert (await workshop.team.ask("owner", "POST", f"/jobs/{job_id}/cancel")).status_code == 404
    assert await workshop.team.ok("owner", "GET", "/jobs") == []
    assert [one["id"] for one in await workshop.team.ok("member", "GET", "/jobs")] == [job_id]


async def test_f6_who_has_left_sees_no_job_of_the_workspace_any_more(workshop, rows):
    job_id = await workshop.start("member")
    await workshop.team.ok(
        "owner", "DELETE", f"/workspaces/{workshop.team.workspace_id}/members/{workshop.team.id('member')}"
    )
    assert (await workshop.team.ask("member", "GET", f"/jobs/{job_id}")).status_code == 404
    assert await workshop.team.ok("member", "GET", "/jobs") == []


@pytest.mark.parametrize(
    ("restriction", "confined", "is_seen"),
    [
        ({}, False, True),
        ({"workspace_id": "own"}, True, True),
        ({"workspace_id": "own"}, False, False),
        ({"workspace_id": "other"}, True, False),
        ({"project_ids": ["own"]}, True, False),
    ],
)
async def test_p7_a_token_sees_jobs_within_its_reach(workshop, restriction, confined, is_seen):
    team = workshop.team
    named = {"own": team.workspace_id, "other": uuid7()}
    narrowed = {"workspace_id": named[restriction["workspace_id"]]} if "workspace_id" in restriction else {}
    narrowed |= {"project_ids": [team.project_id]} if "project_ids" in restriction else {}
    job_id = await workshop.start(is_confined=confined)
    headers = team.gateway.token_headers(team.ids["owner"], "tasks:read", **narrowed)
    read = await team.api.get(f"{JOBS}/{job_id}", headers=headers)
    listed = await team.api.get(JOBS, headers=headers)
    assert (read.status_code == 200, job_id in listed.text) == (is_seen, is_seen)


async def test_p7_a_token_that_is_restricted_to_projects_sees_what_was_started_by_one_of_no_more(workshop):
    team = workshop.team
    narrow = Principal(team.ids["owner"], uuid7(), via="token", scopes=frozenset({"tasks:write"}))
    mine = await workshop.start(caller=replace(narrow, project_ids=frozenset({team.project_id})))
    wider = await workshop.start(caller=replace(narrow, project_ids=frozenset({team.project_id, uuid7()})))
    headers = team.gateway.token_headers(team.ids["owner"], "tasks:read", project_ids=[team.project_id])
    answers = [await team.api.get(f"{JOBS}/{one}", headers=headers) for one in (mine, wider)]
    assert [answer.status_code for answer in answers] == [200, 404]


async def test_p7_a_token_follows_and_cancels_what_it_has_started_whatever_its_scopes(workshop):
    team, token_id = workshop.team, uuid7()
    by_token = Principal(team.ids["owner"], token_id, via="token", scopes=frozenset({"tasks:delete"}))
    mine, others = await workshop.start(caller=by_token), await workshop.start()

    def asking(*scopes, **more):
        return team.gateway.token_headers(team.ids["owner"], *scopes, **more)

    async def codes(method, path, headers):
        answers = [await team.api.request(method, f"{JOBS}/{one}{path}", headers=headers) for one in (mine, others)]
        answers.append(await team.api.request(method, f"{JOBS}/{uuid7()}{path}", headers=headers))
        return [answer.status_code for answer in answers]

    own = asking("tasks:delete", token_id=token_id)
    denied = 403
    for path in ("", "/results"):
        assert await codes("GET", path, own) == [200, denied, denied]
        assert await codes("GET", path, asking("tasks:write")) == [denied] * 3
        assert await codes("GET", path, asking("tasks:read", read_only=True)) == [200, 200, 404]
    listed = [await team.api.get(JOBS, headers=one) for one in (own, asking("tasks:write"), asking("tasks:read"))]
    assert [[one["id"] for one in answer.json()["data"]] for answer in listed] == [[mine], [], [others, mine]]
    assert await codes("POST", "/cancel", asking("tasks:read", token_id=token_id, read_only=True)) == [denied] * 3
    assert await codes("POST", "/cancel", asking("tasks:read")) == [denied] * 3
    assert await codes("POST", "/cancel", own) == [200, denied, denied]
    assert await codes("POST", "/cancel", asking("tasks:write")) == [200, 200, 404]


async def test_p7_a_job_may_do_what_the_credential_may_that_started_it(workshop):
    team = workshop.team
    narrow = Principal(team.ids["owner"], uuid7(), via="token", workspace_id=team.workspace_id, read_only=True)
    seen = []

    async def look(_session, job):
        seen.append(job.actor)
        return Progress(0, is_finished=True)

    narrow = replace(narrow, scopes=frozenset({"tasks:read"}), project_ids=frozenset({team.project_id}))
    await workshop.done(await workshop.start(caller=narrow, operations=()), {"bulk": JobKind(look)})
    assert seen == [narrow]


async def test_e8_the_list_is_walked_newest_first_by_status_and_kind(workshop):
    first = await workshop.start(titles=("a",))
    await workshop.done(first)
    second, third = [await workshop.start() for _ in range(2)]
    page = (await workshop.team.ask("owner", "GET", "/jobs?per_page=2")).json()
    assert ([one["id"] for one in page["data"]], page["meta"]["has_more"]) == ([third, second], True)
    rest = (await workshop.team.ask("owner", "GET", f"/jobs?per_page=2&cursor={page['meta']['next_cursor']}")).json()
    assert ([one["id"] for one in rest["data"]], rest["meta"]["has_more"]) == ([first], False)
    back = await workshop.team.ok("owner", "GET", f"/jobs?per_page=2&cursor={rest['meta']['prev_cursor']}")
    assert [one["id"] for one in back] == [third, second]
    assert [one["id"] for one in await workshop.team.ok("owner", "GET", "/jobs?status=queued,running")] == [
        third,
        second,
    ]
    assert [one["id"] for one in await workshop.team.ok("owner", "GET", "/jobs?status=succeeded")] == [first]
    assert await workshop.team.ok("owner", "GET", "/jobs?kind=export") == []
    other = await workshop.team.ask("owner", "GET", f"/jobs?status=queued&cursor={page['meta']['next_cursor']}")
    assert (other.status_code, other.json()["errors"][0]["code"]) == (400, "CURSOR_MISMATCH")


async def test_e8_results_are_walked_in_request_order_and_filtered(workshop):
    job_id = await workshop.start(titles=("a", "no", "b", "no", "c"))
    await workshop.done(job_id)
    page = (await workshop.team.ask("owner", "GET", f"/jobs/{job_id}/results?per_page=3")).json()
    assert [one["index"] for one in page["data"]] == [0, 1, 2]
    rest = await workshop.results(job_id, f"?per_page=3&cursor={page['meta']['next_cursor']}")
    assert [one["index"] for one in rest] == [3, 4]
    assert [one["index"] for one in await workshop.results(job_id, "?status=failed")] == [1, 3]
    assert [one["index"] for one in await workshop.results(job_id, "?status=succeeded")] == [0, 2, 4]


async def test_e8_a_queued_job_is_cancelled_at_once_and_stays_so(workshop, rows):
    job_id = await workshop.start()
    job = await workshop.team.ok("owner", "POST", f"/jobs/{job_id}/cancel")
    assert (job["status"], job["cancelable"], job["version"]) == ("cancelled", False, 2)
    assert await workshop.team.ok("owner", "POST", f"/jobs/{job_id}/cancel") == job
    assert [one["outcome"] for one in await workshop.results(job_id)] == ["cancelled"] * 3
    assert len(await workshop.results(job_id, "?status=cancelled")) == 3
    assert await workshop.results(job_id, "?status=pending") == []
    told = await rows("SELECT type FROM tasks.change WHERE entity_id = :id ORDER BY seq", id=job_id)
    assert told == [("job.created.v1",), ("job.updated.v1",)]
    last = await workshop.start(titles=("z",))
    await workshop.done(last)
    assert await workshop.titles() == ["z"]


async def test_e8_what_has_ended_is_not_cancelled(workshop):
    job_id = await workshop.start(titles=("a",))
    await workshop.done(job_id)
    refused = await workshop.team.ask("owner", "POST", f"/jobs/{job_id}/cancel")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "JOB_FINISHED")


async def test_e8_a_running_job_is_cancelled_before_its_next_step_and_what_is_done_stays(workshop):
    job_id, gate = await workshop.start(titles=("a", "b", "c", "d")), workshop.gate()
    async with workshop.working(gate.before()):
        await gate.reached.wait()
        asked = await workshop.team.ok("owner", "POST", f"/jobs/{job_id}/cancel")
        assert (asked["status"], asked["cancelable"]) == ("running", False)
        gate.open.set()
        job = await workshop.ended(job_id)
    assert (job["status"], job["done"], job["total"]) == ("cancelled", 2, 4)
    assert await workshop.titles() == ["a", "b"]
    assert [one["outcome"] for one in await workshop.results(job_id)] == ["succeeded"] * 2 + ["cancelled"] * 2


async def test_e8_a_running_job_is_cancelled_once_however_often_that_is_asked_for(workshop, rows):
    job_id, gate = await workshop.start(titles=("a", "b", "c")), workshop.gate()
    async with workshop.working(gate.before()):
        await gate.reached.wait()
        cancel = ("owner", "POST", f"/jobs/{job_id}/cancel")
        asked = await asyncio.gather(*(workshop.team.ok(*cancel) for _ in range(5)))
        told = await rows("SELECT count(*) FROM tasks.change WHERE entity_id = :id", id=job_id)
        gate.open.set()
        await workshop.ended(job_id)
    assert {one["version"] for one in asked} == {asked[0]["version"]}
    # Its making and its being cancelled.
    assert told == [(2,)]


async def test_f6_who_has_left_is_told_nothing_of_a_job_that_ends(workshop, rows):
    job_id, team = await workshop.start("member"), workshop.team
    await team.ok("owner", "DELETE", f"/workspaces/{team.workspace_id}/members/{team.id('member')}")
    async with workshop.working():
        ended = "SELECT 1 FROM tasks.job WHERE id = :id AND finished_at IS NOT NULL"
        await eventually(lambda: rows(ended, id=job_id), seconds=30)
    assert await rows("SELECT type FROM tasks.change WHERE entity_id = :id", id=job_id) == [("job.created.v1",)]


async def test_e8_a_job_that_is_done_as_a_whole_is_undone_by_a_cancellation(workshop):
    job_id, gate = await workshop.start(titles=("a", "b")), workshop.gate()
    async with workshop.working(gate.before(is_whole=lambda _job: True)):
        await gate.reached.wait()
        await workshop.team.ok("owner", "POST", f"/jobs/{job_id}/cancel")
        gate.open.set()
        job = await workshop.ended(job_id)
    assert (job["status"], job["done"]) == ("cancelled", 0)
    assert await workshop.titles() == []


async def test_e8_a_refusal_of_the_whole_fails_the_job_with_its_code(workshop):
    async def refuse(_session, _job):
        raise Forbidden(details=[ErrorDetail("FORBIDDEN", "Not that.", "operations.3")])

    job = await workshop.done(await workshop.start(), {"bulk": JobKind(refuse)})
    assert (job["status"], job["done"]) == ("failed", 0)
    assert (job["error"]["code"], job["error"]["errors"][0]["field"]) == ("FORBIDDEN", "operations.3")
    assert [one["outcome"] for one in await workshop.results(job["id"])] == ["cancelled"] * 3


async def test_p2_a_job_of_an_account_that_is_not_active_any_more_fails(workshop, rows):
    job_id = await workshop.start()
    await rows(
        "INSERT INTO tasks.person (id, kind, version, email_verified, status)"
        " VALUES (:id, 'human', 1, true, 'disabled')",
        id=workshop.team.ids["owner"],
    )
    job = await workshop.done(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "ACCOUNT_INACTIVE")
    assert await workshop.titles() == []


async def test_e8_somebody_has_so_many_jobs_open_and_no_more(workshop):
    started = await asyncio.gather(
        *(workshop.start(titles=("a",)) for _ in range(MAX_OPEN + 3)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in started) == ["TooManyJobs"] * 3 + ["str"] * MAX_OPEN


async def test_e8_jobs_are_forgotten_a_week_after_their_end_with_their_results(workshop, rows, database, settings):
    old, new = [await workshop.start(titles=("a",)) for _ in range(2)]
    async with workshop.working():
        for one in (old, new):
            await workshop.ended(one)
    await rows("UPDATE tasks.job SET finished_at = :then WHERE id = :id", id=old, then=utcnow() - timedelta(days=8))
    await run_to_end(database, scheduled(settings), "purge-jobs")
    assert [one["id"] for one in await workshop.team.ok("owner", "GET", "/jobs")] == [new]
    left = await rows("SELECT job_id::text FROM tasks.job_item WHERE created_by = :id", id=workshop.team.ids["owner"])
    assert left == [(new,)]
