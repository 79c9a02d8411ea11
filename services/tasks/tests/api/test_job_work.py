"""E8, R52, R63: jobs are done step by step, by whichever worker, whatever fails."""

from datetime import timedelta

from chassis.db.transactions import transaction
from sqlalchemy import text
from tasks_service.jobs.repository import take
from tasks_service.jobs.schemas import JobKind, Progress
from tasks_service.jobs.service import results_at
from testkit.waiting import eventually


async def test_e8_who_has_nothing_under_way_is_next_however_long_others_wait(workshop):
    taken = []
    for who in ("owner", "owner", "member"):
        await workshop.start(who)
    for _ in range(3):
        async with transaction(workshop.database) as session:
            taken.append((await take(session, ("bulk",), timedelta(seconds=30)))["created_by"])
    owner, member = workshop.team.ids["owner"], workshop.team.ids["member"]
    assert taken == [owner, member, owner]


async def test_r52_what_fails_is_tried_again_and_given_up_after_five_times_without_a_word_of_why(workshop, rows):
    tried = []

    async def crash(session, job):
        await workshop.create_some(session, job)
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
        return await workshop.create_some(session, job)

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
        progress = await workshop.create_some(session, job)
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
    job_id, gate = await workshop.start(titles=("a", "b", "c")), workshop.gate()
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
    job_id, gate = await workshop.start(titles=("a", "b", "c")), workshop.gate()
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
    job_id, gate = await workshop.start(titles=("a", "b", "c")), workshop.gate()
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


async def test_r63_a_worker_that_is_stopped_while_it_asks_for_a_job_takes_none(workshop, rows, waiting):
    job_id, slots = await workshop.start(), 2
    async with transaction(workshop.database) as other:
        await other.execute(text("LOCK TABLE tasks.job IN EXCLUSIVE MODE"))
        async with workshop.working(slots=slots) as stop:
            await waiting(slots)
            stop.set()
            await other.rollback()
    assert await rows("SELECT status, fence, takings FROM tasks.job WHERE id = :id", id=job_id) == [("queued", 0, 0)]


async def test_e8_a_long_step_keeps_its_lease(workshop, rows):
    job_id, gate = await workshop.start(titles=("a",)), workshop.gate()
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
        return await workshop.create_some(session, job)

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


async def test_e8_a_step_looks_up_what_became_of_operations_before(workshop):
    found = {}

    async def look_back(session, job):
        progress = await workshop.create_some(session, job)
        found.update(await results_at(session, job, [0, 1]))
        return progress

    await workshop.done(await workshop.start(titles=("a", "no", "c")), {"bulk": JobKind(look_back)})
    assert {index: row["outcome"] for index, row in found.items()} == {0: "succeeded", 1: "failed"}


async def test_r52_a_step_that_gets_nowhere_is_no_step(workshop, rows):
    async def idle(_session, job):
        return Progress(job.done, job.failed)

    job_id = await workshop.start()
    async with workshop.working({"bulk": JobKind(idle)}):
        await eventually(lambda: rows("SELECT 1 FROM tasks.job WHERE id = :id AND attempts > 0", id=job_id))
