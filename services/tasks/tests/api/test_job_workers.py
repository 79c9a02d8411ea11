"""R52, R63: worker processes that are killed in the middle of a bulk job; each operation is applied exactly once."""

import os
import random
import signal
import subprocess
import sys

import pytest
from tasks_service.settings import Settings
from testkit.environments import required_settings
from testkit.servers import free_port
from testkit.waiting import eventually

SEED = 20261126
MANY, FEW = (160, 200, 40), (60, 100, 45)
"""How many tasks are made, how many are changed, and how many operations are refused."""
KILLS = 4
DONE = "SELECT done FROM tasks.job WHERE id = :id AND done >= :done"
IN_A_STEP = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'tasks-worker' AND xact_start IS NOT NULL
        AND query ILIKE :query
"""
MOMENTS = ("%tasks.task%", "%tasks.change%", "%tasks.job_item%", "%tasks.job %", "SAVEPOINT%", "%set_config%", "%")
"""What a worker is about when it is killed."""
END = "SELECT status FROM tasks.job WHERE id = :id AND finished_at IS NOT NULL"


@pytest.fixture
def start(settings, tmp_path):
    """Starts workers whose broker is down, and ends them."""
    started = []
    environment = {
        **os.environ,
        **required_settings(Settings),
        "DATABASE_URL": settings.database.url.get_secret_value(),
        "BROKER_URL": "redis://127.0.0.1:1",
        "IDENTITY_VERIFY_KEY": settings.identity.verify_key.get_secret_value(),
        "MAIL_SEALING_KEYS": settings.mail_sealing.keys.get_secret_value(),
        "CURSOR_SECRET": settings.cursors.secret.get_secret_value(),
        "ENVIRONMENT": "test",
        "TASKS_JOB_LEASE_SECONDS": "1",
    }

    def start():
        with (tmp_path / f"worker-{len(started)}.log").open("wb") as log:
            command = [sys.executable, "-m", "tasks_service", "worker"]
            own = {**environment, "ADMIN_PORT": str(free_port())}
            started.append(subprocess.Popen(command, env=own, stdout=log, stderr=log))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
async def start_job(roster, rows):
    """Starts a job: new tasks, changes of tasks that are there, broken operations, and subtasks of the new ones."""
    await rows("UPDATE tasks.job SET status = 'cancelled', finished_at = now() WHERE finished_at IS NULL")
    place = str(roster.project_id)

    async def there(count):
        batch = [{"op": "create", "data": {"title": f"there {n}", "project_id": place}} for n in range(100)]
        made = [await roster.ok("owner", "POST", "/tasks/bulk", {"operations": batch}) for _ in range(count // 100)]
        return [one["id"] for part in made for one in part]

    async def start(size):
        makes, changes, broken = size
        found = await there(changes)
        operations = [
            {"op": "create", "temp_id": f"t{n}", "data": {"title": f"made {n}", "project_id": place}}
            for n in range(makes // 2)
        ]
        operations += [{"op": "update", "id": one, "patch": {"title": f"changed {one}"}} for one in found]
        operations += [{"op": "delete", "id": place} for _ in range(broken)]
        # What they are below was made many steps before.
        operations += [
            {"op": "create", "data": {"title": f"below {n}", "parent_id": f"t{n}"}, "depends_on": [n]}
            for n in range(makes // 2)
        ]
        answer = await roster.ask("owner", "POST", "/tasks/bulk", {"mode": "partial", "operations": operations})
        assert answer.status_code == 202, answer.text
        return answer.json()["data"]["id"], found

    return start


async def test_r52_whoever_is_killed_each_operation_is_applied_exactly_once(roster, rows, start, start_job):
    job_id, there = await start_job(MANY)
    chosen = random.Random(SEED)
    for threshold in sorted(chosen.randrange(sum(MANY) * 9 // 10) for _ in range(KILLS)):
        worker = start()
        await eventually(lambda least=threshold: rows(DONE, id=job_id, done=least), seconds=60)
        moment = chosen.choice(MOMENTS)
        await eventually(lambda query=moment: reached(rows, job_id, query), seconds=60)
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    # Two at once finish it.
    start(), start()
    await eventually(lambda: rows(END, id=job_id), seconds=120)
    await is_applied_once(roster, rows, job_id, there, MANY)


async def reached(rows, job_id, query):
    """Tell whether a worker is at such a statement, or has come to the end before."""
    return await rows(IN_A_STEP, query=query) or await rows(END, id=job_id)


async def is_applied_once(roster, rows, job_id, there, size):
    makes, changes, broken = size
    job = await roster.ok("owner", "GET", f"/jobs/{job_id}")
    total = sum(size)
    assert (job["status"], job["total"], job["done"], job["failed"]) == ("succeeded", total, total, broken)
    made = await rows(
        "SELECT id::text, title, parent_id::text, version FROM tasks.task"
        " WHERE project_id = :p AND NOT id = ANY(:there)",
        p=roster.project_id,
        there=there,
    )
    by_title = {title: (task_id, parent) for task_id, title, parent, _ in made}
    assert len(made) == len(by_title) == makes
    for n in range(makes // 2):
        assert by_title[f"below {n}"][1] == by_title[f"made {n}"][0]
    changed = await rows("SELECT id::text, title, version FROM tasks.task WHERE id = ANY(:there)", there=there)
    assert sorted(changed) == sorted((one, f"changed {one}", 2) for one in there)
    log = await rows(
        "SELECT type, entity_id::text, version FROM tasks.change WHERE workspace_id = :w AND entity_type = 'task'",
        w=roster.workspace_id,
    )
    assert len(log) == len(set(log))
    assert sum(kind == "task.created.v1" for kind, _, _ in log) == makes + changes
    assert sorted(one for kind, one, _ in log if kind == "task.updated.v1" and one in set(there)) == sorted(there)
    numbers = await rows("SELECT seq FROM tasks.change WHERE workspace_id = :w ORDER BY seq", w=roster.workspace_id)
    assert [seq for (seq,) in numbers] == list(range(1, len(numbers) + 1))
    results = await rows("SELECT outcome, result->>'id' FROM tasks.job_item WHERE job_id = :id", id=job_id)
    assert sorted(one for outcome, one in results if outcome == "succeeded") == sorted(
        [*there, *(task_id for task_id, *_ in made)]
    )
    assert sum(outcome == "failed" for outcome, _ in results) == broken


async def test_r63_a_worker_that_is_told_to_end_does_so_after_its_step(roster, rows, start, start_job):
    job_id, there = await start_job(FEW)
    worker = start()
    await eventually(lambda: rows(DONE, id=job_id, done=25), seconds=60)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(120) == 0
    # Nobody has to wait for the end of a lease.
    left = await rows(
        "SELECT status, lease_until <= clock_timestamp(), done < total FROM tasks.job WHERE id = :id", id=job_id
    )
    assert left == [("running", True, True)]
    start()
    await eventually(lambda: rows(END, id=job_id), seconds=120)
    await is_applied_once(roster, rows, job_id, there, FEW)
