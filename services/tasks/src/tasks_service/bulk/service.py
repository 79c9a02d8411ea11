"""Doing many operations in one transaction: all or none of them, or each for itself."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

from chassis.db.failures import CHECK_VIOLATION, FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION, explain, locate, sqlstate
from chassis.errors import AppError, ErrorDetail, Overtaken, VersionConflict
from chassis.identity import Principal
from chassis.web.status import STATUS_OF_KIND
from sqlalchemy import RowMapping
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.bulk import repository
from tasks_service.bulk.errors import TooManyOperations
from tasks_service.bulk_locks.service import lock_all
from tasks_service.bulk_operations.errors import DependencyFailed
from tasks_service.bulk_operations.rules import Mode, is_temp_id, path_of, problems_of
from tasks_service.bulk_operations.schemas import AnyOperation, BulkCreate, OnTask
from tasks_service.bulk_steps.schemas import Batch, Done, Outcome, Progress
from tasks_service.bulk_steps.service import can_be_together, perform, perform_all
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft, Gathering
from tasks_service.jobs.service import start_job
from tasks_service.permissions.rules import RULES
from tasks_service.subtasks.errors import NotApart
from tasks_service.tasks.errors import TaskNotFound
from tasks_service.tasks.rules import task_named

Check = Callable[[], Awaitable[None]]
Run = list[tuple[int, AnyOperation]]
"""Operations that follow each other, with their indexes."""

MAX_PROBLEMS = 50
FEW = 3
"""So many operations are worth being done at once."""
OF_AN_OPERATION = frozenset({UNIQUE_VIOLATION, FOREIGN_KEY_VIOLATION, CHECK_VIOLATION})
"""Failures of statements that another operation need not have; all others are of the whole transaction."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How operations are done; `where` is the path of an operation in the body, by its index.

    With `seconds`, only those are done that are begun so soon after all was locked, one at least.
    """

    mode: Mode
    dry_run: bool = False
    where: str = "operations.{}."
    seconds: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is one transaction, however many operations there are."""
        return self.dry_run or self.mode == "atomic"

    def as_parameters(self) -> dict[str, Any]:
        """Return what a job keeps of them."""
        return {"mode": self.mode, "dry_run": self.dry_run, "where": self.where}


def refuse_unknown(operations: Sequence[AnyOperation]) -> None:
    """Check what operations name of each other. Raises UnknownTempId, DuplicateTempId, UnknownDependency."""
    found = list(problems_of([one.named() for one in operations]))[:MAX_PROBLEMS]
    if found:
        details = [
            ErrorDetail(error.code, error.message, f"operations.{index}.{field}", index=index)
            for index, (error, field) in found
        ]
        raise found[0][1][0](details=details)


async def change_tasks(
    session: AsyncSession,
    *,
    operations: Sequence[AnyOperation],
    terms: Terms,
    actor: Principal,
    when_locked: Check | None = None,
) -> list[Outcome]:
    """Do operations that are all there are, and leave nothing of them after a dry run; return what became of each.

    `when_locked` looks at what is locked, before anything is done.

    Raises what refuse_unknown raises, ResourceBusy, and in atomic mode the first refusal, located in the body.
    """
    refuse_unknown(operations)
    part = partial(
        do_part,
        session,
        operations=operations,
        terms=terms,
        actor=actor,
        progress=Progress(),
        when_locked=when_locked,
    )
    return await undone(session, part) if terms.dry_run else await part()


async def undone(session: AsyncSession, part: Callable[[], Awaitable[list[Outcome]]]) -> list[Outcome]:
    """Return what a part comes to, and leave nothing of it."""
    savepoint = await session.begin_nested()
    outcomes = await part()
    await savepoint.rollback()
    return outcomes


def refuse_too_many(count: int, *, terms: Terms, limit: int, field: str) -> None:
    """Raise TooManyOperations for more than are done in one transaction, where that is asked for."""
    if not terms.is_whole or count <= limit:
        return
    way_out = "send several requests"
    if not terms.dry_run:
        way_out = f"use `mode: partial`, which is done in steps, or {way_out}"
    message = f"At most {limit} operations are done, or tried, in one transaction: {way_out}."
    raise TooManyOperations(message, field=field, data={"limit": limit})


async def start_changing(
    session: AsyncSession,
    *,
    operations: Sequence[AnyOperation],
    given: Sequence[Mapping[str, Any]],
    terms: Terms,
    max_atomic: int,
    actor: Principal,
) -> RowMapping:
    """Leave operations to a job, which does what change_tasks does, and return that; `given` are they as they came.

    Raises what refuse_unknown raises, TooManyOperations, TooManyJobs, TaskNotFound for who is in no workspace.
    """
    if all(actor.scope_refusal(RULES[one.action].scope) for one in operations):
        # A token that may do none of it leaves no job behind, either.
        actor.require_scope(RULES[operations[0].action].scope)
    refuse_too_many(len(operations), terms=terms, limit=max_atomic, field="operations")
    refuse_unknown(operations)
    named = [one.named() for one in operations]
    referred = {name for one in named for name in one.temp_ids.values()}
    made_at = {one.temp_id: index for index, one in enumerate(named) if one.temp_id in referred}
    return await start_job(
        session,
        kind="bulk",
        workspace_id=await _home_of(session, operations, actor),
        parameters={**terms.as_parameters(), "temp_ids": made_at},
        operations=given,
        actor=actor,
        has_results=True,
    )


async def _home_of(session: AsyncSession, operations: Sequence[AnyOperation], actor: Principal) -> UUID:
    """Return the workspace of a job: that of a task or project that it is about, if the actor sees any."""
    names = [task_named(one.id) for one in operations if isinstance(one, OnTask) and not is_temp_id(one.id)]
    found = await repository.find_workspace(
        session,
        actor,
        task_ids=[name for name in names if isinstance(name, UUID)],
        project_ids=[one.data.project_id for one in operations if isinstance(one, BulkCreate) and one.data.project_id],
    )
    if found is None:
        raise TaskNotFound
    return found


async def do_part(
    session: AsyncSession,
    *,
    operations: Sequence[AnyOperation],
    terms: Terms,
    actor: Principal,
    progress: Progress,
    first: int = 0,
    when_locked: Check | None = None,
) -> list[Outcome]:
    """Do some of the operations of a whole, whose indexes begin at `first`, and record all changes at the end.

    Where they are to be begun in time, it may be that only the first ones are done.

    `progress` is what the operations before have left, in this transaction or in others, and is carried on. Raises
    ResourceBusy, and in atomic mode the first refusal, located in the body.
    """
    permitted = [one for one in operations if actor.scope_refusal(RULES[one.action].scope) is None]
    async with changes.gathered(session, actor=actor) as gathering:
        batch = Batch(session, actor, await lock_all(session, operations=permitted, actor=actor), progress)
        if when_locked is not None:
            await when_locked()
        outcomes: list[Outcome] = []
        for run in _begun_in_time(_runs(operations, first), terms.seconds):
            outcomes += await _do_run(batch, run, terms, gathering)
        if terms.dry_run:
            gathering.back_to((0, 0))
    return outcomes


def _runs(operations: Sequence[AnyOperation], first: int) -> list[Run]:
    """Return operations with their indexes, in their order, together as far as they may be done at once."""
    runs: list[Run] = []
    for index, one in enumerate(operations, start=first):
        if runs and can_be_together(runs[-1][-1][1], one):
            runs[-1].append((index, one))
        else:
            runs.append([(index, one)])
    return runs


def _begun_in_time(runs: Iterable[Run], seconds: float | None) -> Iterator[Run]:
    until = None if seconds is None else monotonic() + seconds
    for place, run in enumerate(runs):
        if place and until is not None and monotonic() >= until:
            return
        yield run


async def _do_run(batch: Batch, run: Run, terms: Terms, gathering: Gathering) -> list[Outcome]:
    """Do operations at once, or else by halves: so what is refused, or waits for another one, is found in its turn."""
    if len(run) < FEW:
        return [await _do_one(batch, one, index, terms, gathering) for index, one in run]
    outcomes = await _at_once(batch, run, gathering)
    if outcomes is not None:
        return outcomes
    middle = len(run) // 2
    return [
        *await _do_run(batch, run[:middle], terms, gathering),
        *await _do_run(batch, run[middle:], terms, gathering),
    ]


async def _at_once(batch: Batch, run: Run, gathering: Gathering) -> list[Outcome] | None:
    """Do operations at once; None, having done nothing, where that can't be."""
    mark = gathering.mark()
    if batch.actor.scope_refusal(RULES[run[0][1].action].scope):
        return None
    try:
        async with _alone(batch.session, "partial", gathering):
            done = await perform_all(batch, [one for _, one in run])
    except (AppError, NotApart) as refusal:
        if isinstance(refusal, Overtaken):
            raise
        return None
    drafts = gathering.since(mark)
    _keep(batch, done, drafts)
    of_each: dict[UUID | None, list[ChangeDraft]] = {}
    for draft in drafts:
        of_each.setdefault(draft.task_id, []).append(draft)
    return [
        _done(batch, one, index, each, of_each.get(each.row["id"], []))
        for (index, one), each in zip(run, done, strict=True)
    ]


async def _do_one(batch: Batch, operation: AnyOperation, index: int, terms: Terms, gathering: Gathering) -> Outcome:
    mark = gathering.mark()
    try:
        async with _alone(batch.session, terms.mode, gathering):
            done = await _decided(batch, operation)
    except DBAPIError as error:
        if sqlstate(error) in OF_AN_OPERATION:
            locate(error, index=index)
        raise
    except AppError as refusal:
        if isinstance(refusal, Overtaken):
            raise
        _locate(refusal, operation, index, terms)
        if terms.mode == "atomic":
            raise
        return _failed(batch, operation, index, refusal)
    drafts = gathering.since(mark)
    _keep(batch, [done], drafts)
    return _done(batch, operation, index, done, drafts)


async def _decided(batch: Batch, operation: AnyOperation) -> Done:
    """Do an operation that the caller's credential is good for, and that nothing it depends on stands in the way of."""
    batch.actor.require_scope(RULES[operation.action].scope)
    named = operation.named()
    if not batch.progress.failed.isdisjoint(named.depends_on):
        raise DependencyFailed
    if not batch.progress.failed_temp_ids.isdisjoint(named.temp_ids.values()):
        raise DependencyFailed
    return await perform(batch, operation)


@asynccontextmanager
async def _alone(session: AsyncSession, mode: Mode, gathering: Gathering) -> AsyncIterator[None]:
    """In partial mode, undo all that the block did when it fails, and forget what it gathered."""
    if mode == "atomic":
        yield
        return
    mark = gathering.mark()
    try:
        async with session.begin_nested():
            yield
    except DBAPIError as error:
        gathering.back_to(mark)
        if sqlstate(error) not in OF_AN_OPERATION:
            raise
        raise explain(error) from error
    except (AppError, NotApart):
        gathering.back_to(mark)
        raise


def _locate(refusal: AppError, operation: AnyOperation, index: int, terms: Terms) -> None:
    """Tell of a refusal where in the body it is; what conflicts with a version are fields of the task."""
    where = terms.where.format(index)
    own = type(operation).model_fields

    def path(field: str | None) -> str | None:
        if isinstance(refusal, VersionConflict):
            return field
        found = path_of(field, own=own, body=operation.body)
        return None if found is None else f"{where}{found}"

    refusal.details = tuple(replace(one, field=path(one.field), index=index) for one in refusal.details)


def _keep(batch: Batch, made: Sequence[Done], drafts: Sequence[ChangeDraft]) -> None:
    """Forget rows as they were before operations, and keep those that they have made."""
    versions = {one.entity_id: one.version for one in drafts if one.entity_type == "task"}
    for task_id in versions:
        batch.found.tasks.pop(task_id, None)
    for done in made:
        task_id = done.row["id"]
        if done.is_whole and versions.get(task_id, done.row["version"]) == done.row["version"]:
            batch.found.tasks[task_id] = done.row


def _done(batch: Batch, operation: AnyOperation, index: int, done: Done, drafts: Sequence[ChangeDraft]) -> Outcome:
    row = done.row
    temp_id = operation.named().temp_id
    if temp_id is not None:
        batch.progress.temp_ids[temp_id] = row["id"]
    own = [change for one in drafts if _is_of(one, row["id"]) for change in one.changes]
    return Outcome(
        index,
        operation.op,
        row["id"],
        temp_id,
        done.status,
        row["version"],
        changes=own,
        warnings=done.warnings,
        about=_about(row),
    )


def _is_of(draft: ChangeDraft, task_id: UUID) -> bool:
    return draft.task_id == task_id and draft.entity_type in {"task", "personal_label"}


def _failed(batch: Batch, operation: AnyOperation, index: int, refusal: AppError) -> Outcome:
    temp_id = operation.named().temp_id
    batch.progress.failed.add(index)
    if temp_id is not None:
        batch.progress.failed_temp_ids.add(temp_id)
    task_id = _named_id(batch, operation.id) if isinstance(operation, OnTask) else None
    row = None if task_id is None else batch.found.tasks.get(task_id)
    status = STATUS_OF_KIND[refusal.kind]
    about = None if row is None else _about(row)
    return Outcome(index, operation.op, task_id, temp_id, status, error=refusal, about=about)


def _named_id(batch: Batch, name: str) -> UUID | None:
    """Return the id that a name is, or stands for as far as the caller sees it."""
    if is_temp_id(name):
        return batch.progress.temp_ids.get(name)
    named = task_named(name)
    if isinstance(named, UUID):
        return named
    found = batch.found.keys.get(str(named), [])
    return found[0][0] if len(found) == 1 else None


def _about(row: RowMapping) -> dict[str, str]:
    return {name: str(row[name]) for name in ("workspace_id", "project_id", "id")}
