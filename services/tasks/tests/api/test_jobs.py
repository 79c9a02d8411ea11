"""E8, R52, R63: jobs are started, done in steps, seen and cancelled, by and for their maker alone."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from chassis.clock import utcnow
from chassis.context import RequestContext, bind_request
from chassis.db.row_security import bind
from chassis.db.transactions import transaction
from chassis.errors import ErrorDetail, Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import text
from tasks_service.db import ROW_SECURITY
from tasks_service.jobs.repository import take
from tasks_service.jobs.rules import MAX_OPEN
from tasks_service.jobs.schemas import ItemResult, JobKind, Progress
from tasks_service.jobs.service import keep_results, next_items, results_at, start_job
from tasks_service.scheduler import jobs as scheduled
from tasks_service.tasks.schemas import TaskCreate
from tasks_service.tasks.service import create_task
from testkit.jobs import run_to_end
from testkit.waiting import eventually

JOBS = "/api/v1/jobs"


async def create_some(session, job):
    """A step that makes two tasks, by what the operations say."""
    done, failed = job.done, job.failed
    items = await next_items(session, job, 2)
    results = []
    for one in items:
        if one.operation["title"] == "no":
            results.append(ItemResult(one.index, succeeded=False, told={"status": 422, "error": REFUSAL}))
            failed += 1
        else:
            row = await create_task(session, wanted=TaskCreate.model_validate(dict(one.operation)), actor=job.actor)
            told = {"status": 201, "id": str(row["id"]), "version": row["version"], "op": "create"}
            results.append(ItemResult(one.index, succeeded=True, told=told))
        done += 1
    await keep_results(session, job, results)
    return Progress(done, failed, is_finished=done == job.total)


REFUSAL = {"code": "VALIDATION_FAILED", "message": "No.", "field": "title"}
CREATING = {"bulk": JobKind(create_some)}


class Workshop:
    """Starts jobs of members of a team, and the workers that do them."""

    def __init__(self, team, database, work):
        self.team, self.database, self.work = team, database, work

    async def start(self, who="owner", titles=("a", "b", "c"), **more):
        """Start a job that makes tasks; return its id as it is in JSON."""
        caller = more.pop("caller", None) or Principal(user_id=self.team.ids[who], session_id=uuid7())
        place = str(self.team.project_id)
        given = {
            "kind": "bulk",
            "workspace_id": self.team.workspace_id,
            "parameters": {},
            "operations": [{"title": title, "project_id": place} for title in titles],
            **more,
        }
        bind_request(RequestContext("request-of-the-job", "00-" + "1" * 32 + "-" + "2" * 16 + "-01"))
        async with transaction(self.database) as session:
            await bind(session, ROW_SECURITY.of(caller.user_id))
            row = await start_job(session, actor=caller, **given)
        return str(row["id"])

    def working(self, kinds=None, *, slots=2, **terms):
        """Have a worker for the block."""
        return self.work.working(kinds or CREATING, slots=slots, **terms)

    async def ended(self, job_id, who="owner"):
        """Wait for the end of a job, and return it."""
        return await self.work.ended(self.team, job_id, who)

    async def done(self, job_id, kinds=None, **more):
        """Have a job done, and return it."""
        async with self.working(kinds, **more):
            return await self.ended(job_id)

    async def results(self, job_id, query="", who="owner"):
        return await self.team.ok(who, "GET", f"/jobs/{job_id}/results{query}")

    async def titles(self):
        rows = await self.team.rows(
            "SELECT title FROM tasks.task WHERE project_id = :p ORDER BY title", p=self.team.project_id
        )
        return [title for (title,) in rows]


@pytest.fixture
async def workshop(roster, database, job_work):
    return Workshop(roster, database, job_work)


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
    assert results[1]["error"] == {**REFUSAL, "errors": None}
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
    assert [(kind, request, actor) for kind, request, actor, _ in log if kind != "watcher.added.v1"] == [
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


class Gate:
    """A kind whose steps wait to be let through, before they do anything or after all of it."""

    def __init__(self):
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def passed(self):
        self.reached.set()
        await self.open.wait()

    def before(self, **more):
        async def step(session, job):
            await self.passed()
            return await create_some(session, job)

        return {"bulk": JobKind(step, **more)}

    def after(self):
        async def step(session, job):
            progress = await create_some(session, job)
            await self.passed()
            return progress

        return {"bulk": JobKind(step)}


async def test_e8_a_running_job_is_cancelled_before_its_next_step_and_what_is_done_stays(workshop):
    job_id, gate = await workshop.start(titles=("a", "b", "c", "d")), Gate()
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
    job_id, gate = await workshop.start(titles=("a", "b", "c")), Gate()
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


async def test_e8_who_has_nothing_under_way_is_next_however_long_others_wait(workshop):
    taken = []
    for who in ("owner", "owner", "member"):
        await workshop.start(who)
    for _ in range(3):
        async with transaction(workshop.database) as session:
            taken.append((await take(session, ("bulk",), timedelta(seconds=30)))["created_by"])
    owner, member = workshop.team.ids["owner"], workshop.team.ids["member"]
    assert taken == [owner, member, owner]


async def test_e8_a_job_that_is_done_as_a_whole_is_undone_by_a_cancellation(workshop):
    job_id, gate = await workshop.start(titles=("a", "b")), Gate()
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


async def test_r52_what_fails_is_tried_again_and_given_up_after_five_times_without_a_word_of_why(workshop, rows):
    tried = []

    async def crash(session, job):
        await create_some(session, job)
        tried.append(job.fence)
        raise RuntimeError("a secret of ours")

    job_id = await workshop.start(titles=("a",))
    async with workshop.working({"bulk": JobKind(crash)}):
        for attempt in range(1, 6):

            async def tried_so_often(count=attempt):
                return len(tried) >= count

            await eventually(tried_so_often)
            # Nobody has to wait for the pause.
            await eventually(lambda: released(rows, job_id))
        job = await workshop.ended(job_id)
    assert (job["status"], job["error"]["code"], len(tried)) == ("failed", "INTERNAL_ERROR", 5)
    assert "secret" not in str(job)
    assert await workshop.titles() == []


async def test_r52_a_job_that_others_are_in_the_way_of_waits_longer_than_one_that_fails(workshop, rows):
    job_id = await workshop.start(titles=("a",))
    await rows("UPDATE tasks.job SET attempts = 18 WHERE id = :id", id=job_id)
    met = []

    async def meet(session, job):
        met.append(job.id)
        if len(met) == 1:
            # As others do who have the row.
            await session.execute(text("DO $$ BEGIN RAISE lock_not_available; END $$"))
        return await create_some(session, job)

    async with workshop.working({"bulk": JobKind(meet)}):
        await eventually(lambda: rows("SELECT 1 FROM tasks.job WHERE id = :id AND attempts = 19", id=job_id))
        await rows("UPDATE tasks.job SET lease_until = now() WHERE id = :id", id=job_id)
        job = await workshop.ended(job_id)
    assert (job["status"], job["done"], len(met)) == ("succeeded", 1, 2)
    other = await workshop.start(titles=("b",))
    await rows("UPDATE tasks.job SET attempts = 19 WHERE id = :id", id=other)
    met.clear()
    assert (await workshop.done(other, {"bulk": JobKind(meet)}))["status"] == "failed"


async def released(rows, job_id):
    """Let a job that was put off be taken at once; tell whether it was, or has ended."""
    return await rows(
        """
        UPDATE tasks.job SET lease_until = now()
        WHERE id = :id AND (finished_at IS NOT NULL OR attempts > 0 AND lease_until > now()
            AND lease_until < now() + interval '20 seconds') RETURNING id
        """,
        id=job_id,
    )


async def test_r52_a_failure_that_passes_leaves_nothing_behind(workshop, rows):
    tried = []

    async def fail_once(session, job):
        progress = await create_some(session, job)
        tried.append(job.done)
        if len(tried) == 2:
            raise RuntimeError
        return progress

    job_id = await workshop.start(titles=("a", "b", "c", "d"))
    async with workshop.working({"bulk": JobKind(fail_once)}):
        await eventually(lambda: released(rows, job_id))
        job = await workshop.ended(job_id)
    assert (job["status"], job["done"], tried) == ("succeeded", 4, [0, 2, 2])
    assert await workshop.titles() == ["a", "b", "c", "d"]
    assert await rows("SELECT attempts, takings FROM tasks.job WHERE id = :id", id=job_id) == [(0, 0)]


async def test_r52_who_lost_the_lease_commits_nothing(workshop, rows):
    """Two workers at once on one job: the first one is in a step when its lease is over."""
    job_id, gate = await workshop.start(titles=("a", "b", "c")), Gate()
    async with workshop.working(gate.after()):
        await gate.reached.wait()
        # As if the first worker's machine had been asleep.
        await rows(
            "UPDATE tasks.job SET lease_until = now() - interval '1 second', fence = fence + 1 WHERE id = :id",
            id=job_id,
        )
        gate.open.set()
        await eventually(lambda: rows("SELECT 1 FROM tasks.job WHERE id = :id AND fence > 2", id=job_id))
        job = await workshop.ended(job_id)
    assert (job["status"], job["done"]) == ("succeeded", 3)
    assert await workshop.titles() == ["a", "b", "c"]


async def test_r52_two_workers_do_a_job_once(workshop, rows, database):
    """The lease ends while the first worker is in a step; the second does the job, and the first rolls back."""
    job_id, gate = await workshop.start(titles=("a", "b", "c")), Gate()
    async with workshop.working(gate.after(), slots=1):
        await gate.reached.wait()
        await rows("UPDATE tasks.job SET lease_until = now() - interval '1 second' WHERE id = :id", id=job_id)
        async with workshop.working():
            # The second waits for the first one's rows, as far as they are the same.
            await eventually(lambda: rows("SELECT 1 FROM tasks.job WHERE id = :id AND fence = 2", id=job_id))
            gate.open.set()
            job = await workshop.ended(job_id)
    assert (job["status"], job["done"], job["failed"]) == ("succeeded", 3, 0)
    assert await workshop.titles() == ["a", "b", "c"]
    told = await rows(
        "SELECT count(*) FROM tasks.change WHERE project_id = :p AND type = 'task.created.v1'",
        p=workshop.team.project_id,
    )
    assert told == [(3,)]


async def test_r63_a_worker_that_is_stopped_finishes_its_step_and_leaves_the_rest_to_others(workshop, rows):
    job_id, gate = await workshop.start(titles=("a", "b", "c")), Gate()
    async with workshop.working(gate.before()) as stop:
        await gate.reached.wait()
        stop.set()
        gate.open.set()
    assert await rows(
        "SELECT status, done, lease_until <= clock_timestamp(), attempts FROM tasks.job WHERE id = :id", id=job_id
    ) == [("running", 2, True, 0)]
    job = await workshop.done(job_id)
    assert (job["status"], job["done"]) == ("succeeded", 3)
    assert await workshop.titles() == ["a", "b", "c"]


async def test_e8_a_long_step_keeps_its_lease(workshop, rows):
    job_id, gate = await workshop.start(titles=("a",)), Gate()
    lease = "SELECT lease_until FROM tasks.job WHERE id = :id"
    async with workshop.working(gate.before(), lease=timedelta(seconds=0.6)):
        await gate.reached.wait()
        ((first,),) = await rows(lease, id=job_id)
        await eventually(
            lambda: rows(f"{lease} AND lease_until > :first", id=job_id, first=first + timedelta(seconds=1))
        )
        gate.open.set()
        await workshop.ended(job_id)
    assert await rows("SELECT fence FROM tasks.job WHERE id = :id", id=job_id) == [(1,)]


async def test_e8_jobs_of_others_get_their_turn(workshop, rows):
    """One maker's long jobs do not keep another's waiting, even with one slot."""
    order = []

    async def note(session, job):
        order.append(job.actor.user_id)
        return await create_some(session, job)

    first = [await workshop.start("owner", titles="abcdefgh") for _ in range(3)]
    other = await workshop.start("member", titles="yz")
    async with workshop.working({"bulk": JobKind(note)}, slots=1):
        await workshop.ended(other, "member")
        for one in first:
            await workshop.ended(one)
    assert order.index(workshop.team.ids["member"]) <= 4
    assert len(order) == 13


async def test_e8_a_job_of_a_kind_that_a_worker_does_not_know_is_left_to_others(workshop):
    job_id = await workshop.start(kind="export")
    mine = await workshop.start(titles=("a",))
    await workshop.done(mine)
    assert (await workshop.team.ok("owner", "GET", f"/jobs/{job_id}"))["status"] == "queued"


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


async def test_e8_a_step_looks_up_what_became_of_operations_before(workshop):
    found = {}

    async def look_back(session, job):
        progress = await create_some(session, job)
        found.update(await results_at(session, job, [0, 1]))
        return progress

    await workshop.done(await workshop.start(titles=("a", "no", "c")), {"bulk": JobKind(look_back)})
    assert {index: row["outcome"] for index, row in found.items()} == {0: "succeeded", 1: "failed"}


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


async def test_r52_a_step_that_gets_nowhere_is_no_step(workshop, rows):
    async def idle(_session, job):
        return Progress(job.done, job.failed)

    job_id = await workshop.start()
    async with workshop.working({"bulk": JobKind(idle)}):
        await eventually(lambda: rows("SELECT 1 FROM tasks.job WHERE id = :id AND attempts > 0", id=job_id))
