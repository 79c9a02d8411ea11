"""Running the periodic work of a service in its tests."""

from collections.abc import Iterable

from chassis.background import Job
from chassis.db.engine import Database
from chassis.db.transactions import transaction


async def run_to_end(database: Database, jobs: Iterable[Job], name: str) -> int:
    """Run the job of that name as often as it has something to do; return how many transactions that took."""
    (job,) = (job for job in jobs if job.name == name)
    runs, more = 0, True
    while more:
        async with transaction(database) as session:
            more = bool(await job.run(session))
        runs += 1
    return runs
