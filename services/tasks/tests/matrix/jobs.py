"""How jobs are asked for, which are the caller's alone; see api/test_matrix.py and api/test_jobs.py."""

from chassis.ids import uuid7

ADDED = """
    WITH made AS (
        INSERT INTO tasks.job VALUES (:id, 'bulk', :workspace, :caller, true, NULL, '{}', 'request-of-a-job', '-', '{}',
            '{}', 'queued', 1, 0, 0, NULL, NULL, NULL, now() + interval '1 day', 0, 0, 0, now(), 1, now())
    )
    INSERT INTO tasks.job_item VALUES (:id, 0, :workspace, :caller, '{"op": "delete"}', 'pending')
"""


async def queued(place):
    """A job of who asks, which no worker takes."""
    job_id = uuid7()
    await place.rows(ADDED, id=job_id, workspace=place.workspace_id, caller=place.caller_id)
    return f"/api/v1/jobs/{job_id}"


async def list_jobs(place):
    await queued(place)
    return "GET", "/api/v1/jobs", None


async def read_job(place):
    return "GET", await queued(place), None


async def cancel_job(place):
    return "POST", f"{await queued(place)}/cancel", None


async def list_job_results(place):
    return "GET", f"{await queued(place)}/results", None


ALONE = (list_jobs, read_job, cancel_job, list_job_results)
UNDECIDED = {one.__name__: "a job is its maker's alone; see test_jobs.py" for one in ALONE}
