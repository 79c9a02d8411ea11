"""How endpoints come by a job: it is the caller's own, within the reach of its credential, or there is none."""

from typing import Annotated

from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.jobs import repository
from tasks_service.jobs.errors import JobMissing
from tasks_service.path_ids import JobId


async def readable_job(job_id: JobId, caller: CurrentPrincipal, connection: FreshConnection) -> RowMapping:
    """Load a job of the caller. Raises JobMissing."""
    row = await repository.find(connection, caller, job_id)
    if row is None:
        raise JobMissing
    return row


async def own_job(job_id: JobId, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a job of the caller, in the transaction of a change to it. Raises JobMissing."""
    row = await repository.find(write.session, caller, job_id)
    if row is None:
        raise JobMissing
    return row


ReadableJob = Annotated[RowMapping, Depends(readable_job, scope="function")]
OwnJob = Annotated[RowMapping, Depends(own_job, scope="function")]
