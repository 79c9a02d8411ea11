"""E1, E3, E8: more operations than a request does are left to a job."""

import asyncio
from dataclasses import replace

import pytest
from chassis.ids import uuid7
from sqlalchemy import text
from tasks_service.worker import job_kinds
from testkit.waiting import eventually

BULK = "/tasks/bulk"
LAST = "SELECT 1 FROM tasks.change_counter WHERE workspace_id = :id FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
ENDED = "SELECT 1 FROM tasks.job WHERE id = :id AND finished_at IS NOT NULL"


class Bulk:
    """Sends many operations, and has the jobs done that they make."""

    def __init__(self, team, work):
        self.team, self.work = team, work

    async def send(self, *operations, mode="partial", who="owner", dry_run=False, **headers):
        body = {"mode": mode, "dry_run": dry_run, "operations": list(operations)}
        return await self.team.ask(who, "POST", BULK, body, **headers)

    async def started(self, *operations, **more):
        answer = await self.send(*operations, **more)
        assert answer.status_code == 202, answer.text
        return answer.json()["data"]["id"]

    def working(self):
        return self.work.working(slots=1)

    async def ended(self, job_id, who="owner"):
        async with self.working():
            return await self.work.ended(self.team, job_id, who)

    async def results(self, job_id, query="", who="owner"):
        found, cursor = [], ""
        while cursor is not None:
            path = f"/jobs/{job_id}/results?per_page=100&cursor={cursor}{query}"
            page = (await self.team.ask(who, "GET", path)).json()
            found += page["data"]
            cursor = page["meta"]["next_cursor"]
        return found


@pytest.fixture
async def bulk(roster, job_work):
    return Bulk(roster, job_work)


def new(roster, title="a", **fields):
    more = {name: fields.pop(name) for name in ("temp_id", "depends_on") if name in fields}
    return {"op": "create", **more, "data": {"title": title, "project_id": str(roster.project_id), **fields}}


async def counted(rows, roster):
    ((tasks,),) = await rows("SELECT count(*) FROM tasks.task WHERE project_id = :p", p=roster.project_id)
    return tasks


async def test_e1_more_than_two_hundred_operations_are_a_job(bulk, roster, rows):
    answer = await bulk.send(*(new(roster, f"t{n}") for n in range(201)))
    job = answer.json()["data"]
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/v1/jobs/{job['id']}")
    assert answer.headers["x-cursor"]
    assert (job["kind"], job["status"], job["total"], job["done"]) == ("bulk", "queued", 201, 0)
    assert job["workspace_id"] == str(roster.workspace_id)
    assert await counted(rows, roster) == 0
    job = await bulk.ended(job["id"])
    assert (job["status"], job["done"], job["failed"]) == ("succeeded", 201, 0)
    assert job["result_url"] == f"/api/v1/jobs/{job['id']}/results"
    results = await bulk.results(job["id"])
    assert [one["index"] for one in results] == list(range(201))
    assert {(one["op"], one["status"], one["version"]) for one in results} == {("create", 201, 1)}
    found = await rows("SELECT id::text FROM tasks.task WHERE project_id = :p ORDER BY number", p=roster.project_id)
    assert [one["id"] for one in results] == [task for (task,) in found]


async def test_e2_names_and_dependencies_reach_over_steps(bulk, roster, rows):
    nothing = str(uuid7())
    operations = [
        new(roster, "top", temp_id="top"),
        {"op": "delete", "id": nothing},
        new(roster, "bad", temp_id="bad", parent_id=nothing),
        *(new(roster, f"t{n}") for n in range(200)),
        new(roster, "below", parent_id="top", depends_on=[0]),
        new(roster, "after the bad", depends_on=[1]),
        new(roster, "below the bad", parent_id="bad"),
        {"op": "complete", "id": "top", "depends_on": [203]},
    ]
    job = await bulk.ended(await bulk.started(*operations))
    assert (job["status"], job["total"], job["done"], job["failed"]) == ("succeeded", 207, 207, 5)
    results = await bulk.results(job["id"])
    codes = {one["index"]: (one["status"], one["error"]["code"]) for one in results if one["error"]}
    assert codes == {
        1: (404, "NOT_FOUND"),
        2: (422, "PARENT_NOT_FOUND"),
        204: (424, "DEPENDENCY_FAILED"),
        205: (424, "DEPENDENCY_FAILED"),
        206: (409, "OPEN_SUBTASKS"),
    }
    assert [one["index"] for one in await bulk.results(job["id"], "&status=failed")] == sorted(codes)
    assert results[0]["temp_id"] == "top"
    ((parent,),) = await rows(
        "SELECT parent_id::text FROM tasks.task WHERE project_id = :p AND title = 'below'", p=roster.project_id
    )
    assert parent == results[0]["id"]


STEPS = "SELECT count(DISTINCT xmin::text) FROM tasks.change WHERE entity_type = 'task' AND project_id = :p"


async def test_r37_a_step_ends_when_its_time_is_over_so_that_others_wait_no_longer(bulk, settings, roster, rows):
    hurried = settings.tasks.model_copy(update={"job_step_seconds": 0.0})
    bulk.work.kinds = job_kinds(replace(settings, tasks=hurried))
    operations = [new(roster, "top", temp_id="top"), *(new(roster, f"t{n}", parent_id="top") for n in range(201))]
    job_id = await bulk.started(*operations)

    async def are_some_done():
        return await rows("SELECT 1 FROM tasks.job WHERE id = :id AND done >= 3", id=job_id)

    async with bulk.working():
        await eventually(are_some_done, seconds=60)
        await roster.ok("owner", "POST", f"/jobs/{job_id}/cancel")
    done = (await bulk.ended(job_id))["done"]
    assert 3 <= done < 202
    assert [one["index"] for one in await bulk.results(job_id, "&status=succeeded")] == list(range(done))
    assert await counted(rows, roster) == done
    # The time is over when one is done, however many a step may have.
    assert await rows(STEPS, p=roster.project_id) == [(done,)]


async def test_e3_all_or_nothing_is_one_transaction_of_a_job(bulk, roster, rows):
    operations = [new(roster, f"t{n}") for n in range(201)]
    job = await bulk.ended(await bulk.started(*operations, mode="atomic"))
    assert (job["status"], job["done"], job["failed"]) == ("succeeded", 201, 0)
    assert await counted(rows, roster) == 201
    assert await rows(STEPS, p=roster.project_id) == [(1,)]


async def test_e3_the_first_refusal_of_a_whole_fails_the_job_and_nothing_is_changed(bulk, roster, rows):
    operations = [new(roster, f"t{n}") for n in range(201)]
    operations[195] = {"op": "delete", "id": str(uuid7())}
    job = await bulk.ended(await bulk.started(*operations, mode="atomic"))
    assert (job["status"], job["done"], job["failed"]) == ("failed", 1, 1)
    assert (job["error"]["code"], job["error"]["errors"][0]["index"]) == ("NOT_FOUND", 195)
    assert await counted(rows, roster) == 0
    results = await bulk.results(job["id"])
    assert [one["outcome"] for one in results] == ["cancelled"] * 195 + ["failed"] + ["cancelled"] * 5
    refused = results[195]
    assert [refused] == await bulk.results(job["id"], "&status=failed")
    assert (refused["op"], refused["id"], refused["status"]) == ("delete", operations[195]["id"], 404)
    assert (refused["error"]["code"], refused["error"]["field"]) == ("NOT_FOUND", None)
    assert len(await bulk.results(job["id"], "&status=cancelled")) == 200


CURSE = (
    "CREATE FUNCTION tasks.curse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE check_violation; END'",
    """CREATE TRIGGER curse BEFORE INSERT ON tasks.task FOR EACH ROW WHEN (NEW.title = 'cursed')
    EXECUTE FUNCTION tasks.curse()""",
)


@pytest.fixture
async def cursed(rows):
    """Has the database refuse tasks of this title, as it does what is found to be wrong by it alone."""
    for statement in CURSE:
        await rows(statement)
    yield "cursed"
    await rows("DROP FUNCTION tasks.curse() CASCADE")


async def test_e3_what_the_database_refuses_of_a_whole_has_its_index(bulk, roster, rows, cursed):
    operations = [new(roster, cursed if n == 3 else "a") for n in range(5)]
    answer = await bulk.send(*operations, mode="atomic")
    assert answer.status_code == 422
    assert [(one["code"], one["index"]) for one in answer.json()["errors"]] == [("VALIDATION_FAILED", 3)]
    operations += [new(roster) for _ in range(200)]
    job = await bulk.ended(await bulk.started(*operations, mode="atomic"))
    assert (job["status"], job["done"], job["failed"]) == ("failed", 1, 1)
    assert [(one["code"], one["index"]) for one in job["error"]["errors"]] == [("VALIDATION_FAILED", 3)]
    (refused,) = await bulk.results(job["id"], "&status=failed")
    assert (refused["index"], refused["status"]) == (3, 422)
    assert await counted(rows, roster) == 0


@pytest.mark.parametrize(
    ("many", "more", "way_out"),
    [(501, {"mode": "atomic"}, "use `mode: partial`"), (501, {"dry_run": True}, "send several requests.")],
)
async def test_e3_what_is_too_much_for_one_transaction_is_refused(bulk, roster, rows, many, more, way_out):
    refused = await bulk.send(*({"op": "delete", "id": "T-1"} for _ in range(many)), **more)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "TOO_MANY_OPERATIONS")
    assert refused.json()["data"] == {"limit": 500}
    assert "At most 500 operations" in refused.json()["message"]
    assert way_out in refused.json()["message"]
    assert ("partial" in refused.json()["message"]) is ("mode" in more)
    assert await rows("SELECT 1 FROM tasks.job WHERE created_by = :id", id=roster.ids["owner"]) == []


async def test_e1_what_the_operations_name_of_each_other_is_checked_at_once(bulk, roster):
    operations = [new(roster) for _ in range(250)]
    operations[249]["data"]["parent_id"] = "nobody"
    refused = await bulk.send(*operations)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "UNKNOWN_TEMP_ID")


async def test_r32_the_same_request_with_the_same_key_is_the_same_job(bulk, roster, rows):
    operations = [new(roster) for _ in range(201)]
    first, again = [await bulk.send(*operations, **{"idempotency-key": "k"}) for _ in range(2)]
    assert (again.status_code, again.json()["data"]["id"]) == (202, first.json()["data"]["id"])
    assert again.headers["location"] == first.headers["location"]
    assert await rows("SELECT count(*) FROM tasks.job WHERE created_by = :id", id=roster.ids["owner"]) == [(1,)]


async def test_r35_each_operation_of_a_job_is_decided_when_it_is_done(bulk, roster, rows):
    """The maker loses its role before the worker comes to it."""
    task = await roster.task()
    operations = [{"op": "update", "id": task["id"], "patch": {"title": f"b{n}"}} for n in range(201)]
    job_id = await bulk.started(*operations, who="editor")
    await rows("UPDATE tasks.project_member SET role = 'viewer' WHERE user_id = :id", id=roster.ids["editor"])
    job = await bulk.ended(job_id, "editor")
    assert (job["status"], job["failed"]) == ("succeeded", 201)
    results = await bulk.results(job_id, who="editor")
    assert {(one["status"], one["error"]["code"]) for one in results} == {(403, "FORBIDDEN")}
    assert (await roster.ok("owner", "GET", f"/tasks/{task['id']}"))["version"] == 1


async def test_r35_who_has_left_meanwhile_changes_nothing(bulk, roster, rows):
    task = await roster.task()
    operations = [{"op": "update", "id": task["id"], "patch": {"title": f"b{n}"}} for n in range(201)]
    job_id = await bulk.started(*operations, who="member")
    path = f"/workspaces/{roster.workspace_id}/members/{roster.id('member')}"
    await roster.ok("owner", "DELETE", path)
    query = "SELECT status, failed FROM tasks.job WHERE id = :id AND finished_at IS NOT NULL"
    async with bulk.working():
        found = await eventually(lambda: rows(query, id=job_id), seconds=60)
    assert found == [("succeeded", 201)]
    codes = await rows("SELECT DISTINCT result->>'status' FROM tasks.job_item WHERE job_id = :id", id=job_id)
    assert codes == [("404",)]
    assert (await roster.ok("owner", "GET", f"/tasks/{task['id']}"))["version"] == 1


async def test_p7_a_job_has_the_restrictions_of_the_token_that_started_it(bulk, roster, rows):
    task = await roster.task()
    project = await roster.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": str(roster.workspace_id)})
    other = await roster.task(project_id=project["id"])
    operations = [{"op": "update", "id": task["id"], "patch": {"title": f"b{n}"}} for n in range(200)]
    operations += [
        {"op": "update", "id": other["id"], "patch": {"title": "b"}},
        {"op": "delete", "id": task["id"]},
    ]
    scopes = ("tasks:read", "tasks:write")
    headers = roster.gateway.token_headers(roster.ids["owner"], *scopes, project_ids=[roster.project_id])
    body = {"mode": "partial", "operations": operations}
    answer = await roster.api.post("/api/v1/tasks/bulk", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    job = await bulk.ended(answer.json()["data"]["id"])
    assert (job["status"], job["failed"]) == ("succeeded", 2)
    failed = await bulk.results(job["id"], "&status=failed")
    assert [(one["index"], one["status"], one["error"]["code"]) for one in failed] == [
        (200, 404, "NOT_FOUND"),
        (201, 403, "INSUFFICIENT_SCOPE"),
    ]
    actors = await rows(
        "SELECT DISTINCT actor->>'via' FROM tasks.change WHERE entity_id = :id AND version > 1", id=task["id"]
    )
    assert actors == [("token",)]


async def test_f6_a_job_makes_nothing_for_who_has_been_removed(bulk, roster, rows, database):
    async def waiting(count):
        return (await rows(WAITING))[0][0] == count

    job_id = await bulk.started(*(new(roster, f"t{n}") for n in range(201)), who="member")
    path = f"/workspaces/{roster.workspace_id}/members/{roster.id('member')}"
    async with database.writer.connect() as held:
        await held.execute(text(LAST), {"id": roster.workspace_id})
        async with bulk.working():
            await eventually(lambda: waiting(1))
            removing = asyncio.create_task(roster.ask("owner", "DELETE", path))
            await eventually(lambda: waiting(2))
            await held.rollback()
            removed = await removing
            made = await counted(rows, roster)
            await eventually(lambda: rows(ENDED, id=job_id), seconds=60)
    assert (removed.status_code, 0 < made < 201) == (200, True)
    assert await counted(rows, roster) == made
    assert await rows("SELECT 1 FROM tasks.watcher WHERE user_id = :u", u=roster.ids["member"]) == []
    found = await rows("SELECT done, failed FROM tasks.job WHERE id = :id", id=job_id)
    assert found == [(201, 201 - made)]


async def test_c9_what_a_job_did_is_undone_by_the_request_that_started_it(bulk, roster, rows):
    made = await roster.ok("owner", "POST", BULK, {"operations": [new(roster, f"t{n}") for n in range(101)]})
    operations = [{"op": "update", "id": one["id"], "patch": {"priority": "high"}} for one in made]
    operations += [{"op": "reopen", "id": one["id"]} for one in made]
    request_id = str(uuid7())
    job_id = await bulk.started(*operations, **{"x-request-id": request_id})
    assert (await bulk.ended(job_id))["failed"] == 0
    undone = await roster.ok("owner", "POST", f"/operations/{request_id}/undo")
    assert {one["type"] for one in undone} == {"task.updated"}
    assert len(undone) == 101


async def test_e8_a_job_that_is_cancelled_between_steps_keeps_what_it_did(bulk, roster, rows):
    job_id = await bulk.started(*(new(roster, f"t{n}") for n in range(400)))
    progress = "SELECT done FROM tasks.job WHERE id = :id AND done > 0"
    async with bulk.working():
        await eventually(lambda: rows(progress, id=job_id), seconds=30)
        await roster.ok("owner", "POST", f"/jobs/{job_id}/cancel")
        job = await bulk.ended(job_id)
    assert job["status"] == "cancelled"
    assert 0 < job["done"] < 400
    assert await counted(rows, roster) == job["done"]
    results = await bulk.results(job_id)
    assert [one["outcome"] for one in results] == ["succeeded"] * job["done"] + ["cancelled"] * (400 - job["done"])


async def by_filter(bulk, roster, rows, count, **more):
    """Ask for a change of so many tasks that are high, of a few more that there are."""
    for first in range(0, 206, 103):
        batch = [new(roster, f"t{first + n}", priority="high" if first + n < 205 else "low") for n in range(103)]
        await roster.ok("owner", "POST", BULK, {"operations": batch})
    given = f"priority = high and project_id = {roster.project_id}"
    body = {"filter": given, "patch": {"priority": "urgent"}, "expected_count": count, "mode": "partial", **more}
    return await roster.ask("owner", "POST", f"{BULK}/by-filter", body)


async def test_e6_all_that_a_filter_finds_is_changed_by_a_job_where_it_is_more(bulk, roster, rows):
    answer = await by_filter(bulk, roster, rows, 205)
    job = answer.json()["data"]
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/v1/jobs/{job['id']}")
    assert (job["kind"], job["total"]) == ("bulk_by_filter", 205)
    assert answer.json()["meta"]["resolved_filter"]["and"]
    # What comes to match afterwards was not counted.
    late = await roster.task(priority="high")
    done = await bulk.ended(job["id"])
    assert (done["status"], done["done"], done["failed"]) == ("succeeded", 205, 0)
    found = await rows(
        "SELECT priority, count(*) FROM tasks.task WHERE project_id = :p GROUP BY priority ORDER BY priority",
        p=roster.project_id,
    )
    assert found == [("high", 1), ("low", 1), ("urgent", 205)]
    results = await bulk.results(job["id"])
    assert {(one["op"], one["status"], one["version"]) for one in results} == {("update", 200, 2)}
    assert late["id"] not in {one["id"] for one in results}


async def test_e6_no_job_is_made_of_what_was_not_expected(bulk, roster, rows):
    answer = await by_filter(bulk, roster, rows, 204)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "COUNT_MISMATCH")
    assert await rows("SELECT 1 FROM tasks.job WHERE created_by = :id", id=roster.ids["owner"]) == []


@pytest.mark.parametrize("mode", ["partial", "atomic"])
async def test_e5_a_dry_run_of_what_a_filter_finds_tells_what_would_change_and_keeps_nothing(bulk, roster, rows, mode):
    answer = await by_filter(bulk, roster, rows, 205, dry_run=True, mode=mode)
    assert answer.status_code == 202, answer.text
    log = await roster.log()
    job = await bulk.ended(answer.json()["data"]["id"])
    assert (job["status"], job["total"], job["done"], job["failed"]) == ("succeeded", 205, 205, 0)
    changed = [{"field": "priority", "old": "high", "new": "urgent"}]
    results = await bulk.results(job["id"])
    assert [(one["status"], one["version"], one["changes"]) for one in results] == [(200, 2, changed)] * 205
    kept = "SELECT count(*) FROM tasks.task WHERE project_id = :p AND (priority = 'urgent' OR version > 1)"
    assert await rows(kept, p=roster.project_id) == [(0,)]
    assert {kind for kind, *_ in await roster.log_after(len(log))} == {"job.updated.v1"}


async def test_e5_a_dry_run_of_many_reaches_over_all_of_them_and_one_that_fails_is_told(bulk, roster, rows):
    there = await roster.task()
    operations = [
        new(roster, "top", temp_id="top"),
        *(new(roster) for _ in range(300)),
        {"op": "update", "id": there["id"], "patch": {"parent_id": "top"}},
        {"op": "delete", "id": str(uuid7())},
        {"op": "complete", "id": "top", "depends_on": [302]},
    ]
    job = await bulk.ended(await bulk.started(*operations, dry_run=True))
    assert (job["status"], job["done"], job["failed"]) == ("succeeded", 304, 2)
    results = await bulk.results(job["id"])
    assert results[301]["changes"] == [{"field": "parent_id", "old": None, "new": results[0]["id"]}]
    assert [one["error"]["code"] for one in results[302:]] == ["NOT_FOUND", "DEPENDENCY_FAILED"]
    assert await counted(rows, roster) == 1
    whole = await bulk.ended(await bulk.started(*operations, dry_run=True, mode="atomic"))
    assert (whole["status"], whole["error"]["code"], whole["error"]["errors"][0]["index"]) == (
        "failed",
        "NOT_FOUND",
        302,
    )
    assert await counted(rows, roster) == 1
    # The number that comes next was not used up.
    after = await roster.task()
    assert int(after["key"].partition("-")[2]) == int(there["key"].partition("-")[2]) + 1


async def test_e6_all_or_nothing_of_what_a_filter_finds_names_the_field_of_the_patch(bulk, roster, rows):
    answer = await by_filter(bulk, roster, rows, 205, mode="atomic", patch={"status": "nowhere"})
    assert answer.status_code == 202, answer.text
    job = await bulk.ended(answer.json()["data"]["id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "STATUS_NOT_FOUND")
    assert (job["error"]["errors"][0]["field"], job["error"]["errors"][0]["index"]) == ("patch.status", 0)
