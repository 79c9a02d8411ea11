"""Work that outlasts a request: started with it, done in steps by workers, seen and cancelled by its maker alone."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from chassis.clock import utcnow
from chassis.context import current_request
from chassis.cursors import CursorSigner
from chassis.db.row_security import reaches_beyond_memberships
from chassis.errors import AppError, InternalError
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.paging import Page, Paging, Walk
from chassis.web.envelope import failure_body
from chassis.web.status import STATUS_OF_KIND
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.changes import service as changes
from tasks_service.directory.rules import can_log_in
from tasks_service.ended_credentials.service import require_credential
from tasks_service.jobs import repository
from tasks_service.jobs.errors import JobFinished, JobMissing, LeaseLost, MakerInactive, TooManyJobs
from tasks_service.jobs.events import job_created, job_updated
from tasks_service.jobs.rules import CANCELLED, FAILED, MAX_OPEN, OPEN, RESULTS, TOLD_EVERY, Kind
from tasks_service.jobs.schemas import PRINCIPAL, Item, ItemResult, Progress, RunningJob

OF_A_JOB = "what a job keeps, whose maker may have left its workspace meanwhile"


async def start_job(
    session: AsyncSession,
    *,
    kind: Kind,
    workspace_id: UUID,
    parameters: Mapping[str, Any],
    actor: Principal,
    operations: Sequence[Mapping[str, Any]] = (),
    is_confined: bool = False,
    total: int | None = None,
    job_id: UUID | None = None,
    result_url: str | None = None,
    has_results: bool = False,
) -> RowMapping:
    """Leave work to the workers, and return its job; to be called last in a transaction, as `changes.record` is.

    It is done as the actor by the credential that asks now. `workspace_id` is a workspace that the actor is in;
    `is_confined` says that all that the job is about is in there. What came of a job that `has_results` is told by
    operation. Raises TooManyJobs.
    """
    if await repository.count_open(session, actor.user_id) >= MAX_OPEN:
        raise TooManyJobs
    request, now = current_request(), utcnow()
    new_id = job_id or uuid7()
    row = await repository.add(
        session,
        {
            "id": new_id,
            "kind": kind,
            "workspace_id": workspace_id,
            "created_by": actor.user_id,
            "is_confined": is_confined or actor.workspace_id == workspace_id,
            "project_ids": None if actor.project_ids is None else sorted(actor.project_ids),
            "principal": PRINCIPAL.dump_python(actor, mode="json"),
            "request_id": request.request_id,
            "traceparent": request.traceparent,
            "parameters": dict(parameters),
            "state": {},
            "total": len(operations) if operations else total,
            "done": 0,
            "failed": 0,
            "result_url": RESULTS.format(new_id) if has_results else result_url,
            "fence": 0,
            "attempts": 0,
            "takings": 0,
            "told_at": now,
            "version": 1,
            "created_at": now,
        },
    )
    if operations:
        await repository.add_items(session, row, operations)
    await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=[job_created(row)])
    return row


async def cancel_job(session: AsyncSession, *, job: RowMapping, actor: Principal) -> RowMapping:
    """Cancel a job: at once while it is queued, else before its next step. What it has done stays. Raises JobFinished.

    One that is cancelled already stays so.
    """
    row = await repository.ask_to_cancel(session, job["id"])
    if row is not None:
        draft = job_updated(job, row)
        await changes.record(session, workspace_id=row["workspace_id"], actor=actor, drafts=[draft])
        return row
    now = await repository.find(session, actor, job["id"])
    if now is None:
        raise JobMissing
    if now["status"] not in {*OPEN, CANCELLED}:
        raise JobFinished
    return now


async def list_jobs(
    reader: AsyncConnection,
    *,
    caller: Principal,
    statuses: Collection[str],
    kinds: Collection[str],
    paging: Paging,
    signer: CursorSigner,
) -> Page[RowMapping]:
    """Return a part of the caller's jobs, the newest first. Raises InvalidCursor or CursorMismatch."""
    query = f"jobs{caller.credential_id}{sorted(statuses)}{sorted(kinds)}".encode()
    walk = Walk(paging, signer, query=query, read=UUID)
    rows = await repository.list_own(
        reader,
        caller,
        statuses=statuses,
        kinds=kinds,
        before=walk.onwards_from,
        after=walk.back_from,
        limit=walk.limit,
    )
    return walk.page(rows, key="id")


async def list_results(
    reader: AsyncConnection,
    *,
    job: RowMapping,
    outcome: str | None,
    paging: Paging,
    signer: CursorSigner,
) -> Page[RowMapping]:
    """Return a part of what came of a job, in the order of the request. Raises InvalidCursor or CursorMismatch."""
    walk = Walk(paging, signer, query=f"results{job['id']}{outcome}".encode(), read=int)
    rows = await repository.list_items(
        reader, job, outcome=outcome, after=walk.onwards_from, before=walk.back_from, limit=walk.limit
    )
    return walk.page(rows, key="index")


@reaches_beyond_memberships(OF_A_JOB)
async def next_items(session: AsyncSession, job: RunningJob, limit: int) -> list[Item]:
    """Return the first operations that are still to be done."""
    found = await repository.pending_items(session, job.id, limit)
    return [Item(row["index"], row["operation"]) for row in found]


@reaches_beyond_memberships(OF_A_JOB)
async def keep_results(session: AsyncSession, job: RunningJob, results: Sequence[ItemResult]) -> None:
    """Say what became of operations, with their effects."""
    if results:
        await repository.write_results(session, job.id, results)


@reaches_beyond_memberships(OF_A_JOB)
async def tell_results(session: AsyncSession, job: RunningJob, results: Sequence[ItemResult]) -> None:
    """Tell of what was no operation of the request, such as a line of a file that is broken; each index once."""
    if results:
        of_job = {"job_id": job.id, "workspace_id": job.workspace_id, "created_by": job.actor.user_id}
        await repository.add_results(session, of_job, results)


@reaches_beyond_memberships(OF_A_JOB)
async def results_at(session: AsyncSession, job: RunningJob, indexes: Collection[int]) -> dict[int, RowMapping]:
    """Return what became of some operations: their `outcome`, `operation` and `result`."""
    return await repository.results_at(session, job.id, indexes) if indexes else {}


async def find_held(session: AsyncSession, job_id: UUID, fence: int) -> RowMapping:
    """Return a job for a step of it.

    Raises LeaseLost, and MakerInactive, CredentialRevoked or CredentialExpired when there is nobody to do it as.
    """
    row = await repository.find_held(session, job_id, fence)
    if row is None:
        raise LeaseLost
    await require_maker(session, row)
    return row


async def require_maker(session: AsyncSession, row: RowMapping) -> None:
    """Raise MakerInactive, CredentialRevoked or CredentialExpired when there is nobody to do a job as any more."""
    _, status = await repository.find_maker(session, row)
    if not can_log_in(status):
        raise MakerInactive
    await require_credential(session, PRINCIPAL.validate_python(row["principal"]))


async def advance(session: AsyncSession, before: RowMapping, progress: Progress, *, lease: timedelta) -> RowMapping:
    """Note how far a job is, and tell its maker.

    Raises LeaseLost, and InternalError for a step that got nowhere: then nothing of it may stay.
    """
    values: dict[str, Any] = {"done": progress.done, "failed": progress.failed}
    given = {"total": progress.total, "state": progress.state, "result_url": progress.result_url}
    values |= {name: value for name, value in given.items() if value is not None}
    if progress.is_finished:
        values |= repository.ENDED
    elif all(before[name] == value for name, value in values.items()):
        raise InternalError(log_detail="a step that gets nowhere")
    after = await repository.advance(session, before["id"], before["fence"], lease=lease, values=values)
    if after is None:
        raise LeaseLost
    await _tell(session, before, after)
    return after


async def end_job(session: AsyncSession, job_id: UUID, fence: int, *, error: AppError | None = None) -> RowMapping:
    """End a job that is cancelled, or fails by an error, which may be that of an operation. Raises LeaseLost."""
    before = await repository.find_held(session, job_id, fence)
    values: dict[str, Any] = {"status": CANCELLED} if error is None else {"status": FAILED, "error": told_of(error)}
    refused = None if error is None else _refused(error)
    if before is not None and refused is not None:
        await repository.write_results(session, job_id, [refused])
        values |= {"done": before["done"] + 1, "failed": before["failed"] + 1}
    after = await repository.end(session, job_id, fence, values=values)
    if before is None or after is None:
        raise LeaseLost
    await _tell(session, before, after)
    return after


def _refused(error: AppError) -> ItemResult | None:
    """Return what became of the operation that an error is of; None for an error of none."""
    first = error.details[0] if error.details else None
    if first is None or first.index is None:
        return None
    told = {**told_of(error), "field": first.field}
    return ItemResult(first.index, succeeded=False, told={"status": STATUS_OF_KIND[error.kind], "error": told})


def told_of(error: AppError) -> dict[str, Any]:
    """Return what there is to tell of an error, as answers do; of what is our own mistake nothing but that."""
    shown = InternalError() if isinstance(error, InternalError) else error
    body = orjson.loads(failure_body(shown))
    return {"code": shown.code, "message": body["message"], "errors": body["errors"]}


async def _tell(session: AsyncSession, before: RowMapping, after: RowMapping) -> None:
    """Tell the maker how far a job is, once a second at most and at its end; who has left is told nothing."""
    now = utcnow()
    if after["finished_at"] is None and now - after["told_at"] < TOLD_EVERY:
        return
    is_member, _ = await repository.find_maker(session, after)
    if not is_member:
        return
    await repository.mark_told(session, after["id"], now)
    actor = PRINCIPAL.validate_python(after["principal"])
    draft = job_updated(before, after)
    await changes.record(session, workspace_id=after["workspace_id"], actor=actor, drafts=[draft])
