"""How endpoints come by a job: it is the caller's own, within the reach of its credential, or there is none.

An API token that started a job follows and cancels it, whatever its scopes are: it knows already what it is about.
"""

from typing import Annotated

from chassis.identity import Principal
from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.jobs import repository
from tasks_service.jobs.errors import JobMissing
from tasks_service.path_ids import JobId


async def readable_job(job_id: JobId, caller: CurrentPrincipal, connection: FreshConnection) -> RowMapping:
    """Load a job of the caller. Raises JobMissing, InsufficientScope."""
    row = await repository.find(connection, caller, job_id)
    if not _is_started_by(row, caller):
        caller.require_scope("tasks:read", reads=True)
    return _found(row)


async def own_job(job_id: JobId, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a job of the caller, in the transaction of a change to it.

    Raises JobMissing, InsufficientScope, TokenReadOnly.
    """
    row = await repository.find(write.session, caller, job_id)
    if caller.read_only or not _is_started_by(row, caller):
        caller.require_scope("tasks:write")
    return _found(row)


def _is_started_by(row: RowMapping | None, caller: Principal) -> bool:
    return row is not None and row["principal"].get("session_id") == str(caller.session_id)


def _found(row: RowMapping | None) -> RowMapping:
    if row is None:
        raise JobMissing
    return row


ReadableJob = Annotated[RowMapping, Depends(readable_job, scope="function")]
OwnJob = Annotated[RowMapping, Depends(own_job, scope="function")]
