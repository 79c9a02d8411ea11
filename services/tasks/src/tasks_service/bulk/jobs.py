"""Doing operations that are too many for a request, some of them in each step of a job."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.bulk.schemas import BulkItem
from tasks_service.bulk.service import Terms, do_part, undone
from tasks_service.bulk_operations.schemas import MAX_OPERATIONS, AnyOperation
from tasks_service.bulk_steps import schemas as steps
from tasks_service.jobs.rules import PENDING, SUCCEEDED
from tasks_service.jobs.schemas import Item, ItemResult, JobKind, Progress, RunningJob
from tasks_service.jobs.service import keep_results, next_items, results_at

OPERATIONS: TypeAdapter[list[AnyOperation]] = TypeAdapter(list[AnyOperation])


def bulk_kind(at_once: int, *, seconds: float) -> JobKind:
    """Return how operations are done: so many in a step, as far as they are begun in time, or in atomic mode all."""

    async def step(session: AsyncSession, job: RunningJob) -> Progress:
        items = await next_items(session, job, MAX_OPERATIONS if is_whole(job) else at_once)
        outcomes = await _do(session, job, items, None if is_whole(job) else seconds) if items else []
        results = [_result(one, shows_changes=_terms(job).dry_run) for one in outcomes]
        await keep_results(session, job, results)
        failed = job.failed + sum(not one.succeeded for one in results)
        done = job.done + len(results)
        return Progress(done, failed, is_finished=done == job.total)

    return JobKind(step, is_whole)


def is_whole(job: RunningJob) -> bool:
    """Tell whether all or nothing of a job is done, or all of it is tried and nothing kept."""
    return _terms(job).is_whole


def _terms(job: RunningJob) -> Terms:
    given = job.parameters
    return Terms(given["mode"], given.get("dry_run", False), given["where"])


async def _do(
    session: AsyncSession, job: RunningJob, items: Sequence[Item], seconds: float | None
) -> list[steps.Outcome]:
    """Do operations that follow each other, or the first of them. Raises what do_part raises."""
    shared = job.parameters.get("operation", {})
    operations = OPERATIONS.validate_python([{**shared, **one.operation} for one in items])
    terms = replace(_terms(job), seconds=seconds)
    part = partial(
        do_part,
        session,
        operations=operations,
        terms=terms,
        actor=job.actor,
        progress=await _left_by_those_before(session, job, operations),
        first=items[0].index,
    )
    return await undone(session, part) if terms.dry_run else await part()


async def _left_by_those_before(
    session: AsyncSession, job: RunningJob, operations: Sequence[AnyOperation]
) -> steps.Progress:
    """Return what has become of the operations before that these refer to; those among themselves are still to come."""
    made_at: Mapping[str, int] = job.parameters.get("temp_ids", {})
    named = [one.named() for one in operations]
    names = {name for one in named for name in one.temp_ids.values()}
    indexes = {index for one in named for index in one.depends_on} | {made_at[name] for name in names}
    found = await results_at(session, job, indexes)
    failed = {index for index, row in found.items() if row["outcome"] not in {SUCCEEDED, PENDING}}
    made = {
        name: UUID(found[index]["result"]["id"])
        for name in names
        if (index := made_at[name]) in found and found[index]["outcome"] == SUCCEEDED
    }
    return steps.Progress(made, {name for name in names if made_at[name] in failed}, failed)


def _result(outcome: steps.Outcome, *, shows_changes: bool) -> ItemResult:
    told: dict[str, Any] = BulkItem.of(outcome, shows_changes=shows_changes).model_dump(mode="json", exclude={"index"})
    if told["error"] is not None:
        # What conflicts is read where it is: the results stay when the task is not seen any more.
        told["error"]["data"] = None
    return ItemResult(outcome.index, succeeded=outcome.error is None, told=told)
