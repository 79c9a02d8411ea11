"""Turning back everything that a request changed, or nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import AppError, ErrorDetail, ErrorKind, NotFound, Overtaken
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import repository as log
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft, Gathering
from tasks_service.inverses.errors import UndoConflict, UndoNotPossible
from tasks_service.inverses.schemas import Step
from tasks_service.inverses.service import impossible
from tasks_service.mark_inverses.service import INVERSES as OF_MARKS
from tasks_service.place_inverses.service import INVERSES as OF_PLACES
from tasks_service.projects import repository as projects
from tasks_service.subtasks.errors import NotApart
from tasks_service.subtasks.repository import lock_trees
from tasks_service.task_inverses.service import INVERSES as OF_TASKS
from tasks_service.task_inverses.service import OF_MANY
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.events import TASK_MOVED
from tasks_service.undoing import repository
from tasks_service.undoing.errors import UndoExpired, UndoTooLarge
from tasks_service.undoing.rules import Entry, conflicts_of, former_statuses, reason_of, turned_back, undone_already
from tasks_service.undoing.schemas import UndoneChange
from tasks_service.visibility.repository import hold_members

INVERSES = {**OF_TASKS, **OF_MARKS, **OF_PLACES}
UNDONE = "This is undone already, so nothing is turned back."
SAYS = {True: "This is undone already", False: "This was changed since"}
PLACES = frozenset({"project", "status"})
"""What tasks show something of, without being changed."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How long ago a request may have been, and how many changes it may have made, to be undone."""

    within: timedelta
    max_changes: int


@dataclass(frozen=True, slots=True)
class Operation:
    """All that somebody changed by requests of one id, within the time in which that can be undone."""

    request_id: str
    actor: Principal
    entries: Sequence[Entry]
    together: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo changed, and what could not be as it was."""

    changes: Sequence[UndoneChange]
    warnings: Sequence[dict[str, Any]]


async def undo(session: AsyncSession, *, request_id: str, actor: Principal, reach: Reach) -> Undone:
    """Turn back what the actor changed by a request, newest first, as a change of its own.

    Raises NotFound, UndoExpired, UndoTooLarge, UndoConflict, UndoNotPossible, and what the single changes raise.
    """
    await repository.lock_operation(session, user_id=actor.user_id, request_id=request_id)
    operation = await _find(session, request_id, actor, reach)
    entries = turned_back(operation.entries)
    _refuse_impossible(entries)
    await _refuse_conflicts(session, operation, entries)
    await _lock(session, operation, entries)
    warnings: list[dict[str, Any]] = []
    known = await _known(session, operation, entries)
    steps = [_step(operation, session, entry, warnings, known) for entry in entries]
    async with changes.gathered(session, actor=actor, reason=reason_of(request_id)) as gathering:
        for _, run in groupby(steps, key=lambda step: step.type):
            await _turn_back_run([*run], gathering)
        # All that was turned back is locked now: who changed it before is in the log, and nobody else will be.
        await _refuse_conflicts(session, operation, entries)
        if not gathering.drafts:
            raise UndoConflict(data={"conflicts": []})
    return Undone([UndoneChange.of(*one) for one in gathering.drafts], warnings)


async def _find(session: AsyncSession, request_id: str, actor: Principal, reach: Reach) -> Operation:
    """Return the operation, of which the actor still sees everything. Raises NotFound, UndoExpired, UndoTooLarge."""
    limit = reach.max_changes
    found = await repository.changes_of(session, user_id=actor.user_id, request_id=request_id, limit=limit + 1)
    if not found or not await _sees_all(session, actor, found):
        raise NotFound
    begin = utcnow() - reach.within
    entries = [cast("Entry", one) for one in found if one["occurred_at"] >= begin]
    if not entries:
        raise UndoExpired
    if len(entries) > limit:
        raise UndoTooLarge(f"More than {limit} changes are not turned back at once.", data={"limit": limit})
    return Operation(request_id, actor, entries, frozenset(one["entity_id"] for one in entries))


async def _sees_all(session: AsyncSession, actor: Principal, entries: Sequence[RowMapping]) -> bool:
    """Tell whether the actor sees all that was changed, where it is now; of what is gone, where it was."""
    heads = await log.heads_for(session, actor)
    if not {one["workspace_id"] for one in entries} <= heads.keys():
        return False
    places = await repository.places_of(session, actor, {one["task_id"] for one in entries} - {None})
    # Tasks that are not seen by themselves may be in a project that is in the trash.
    for project_id in {places.get(one["task_id"], one["project_id"]) for one in entries} - {None}:
        if await projects.find_visible(session, caller=actor, project_id=project_id, in_trash=None) is None:
            return False
    return True


def _refuse_impossible(entries: Sequence[Entry]) -> None:
    types = sorted({str(one["type"]).removesuffix(".v1") for one in entries if one["type"] not in INVERSES})
    if types:
        code = UndoNotPossible.code
        details = [ErrorDetail(code, f"What is told as {one} can't be turned back.") for one in types]
        raise UndoNotPossible(details=details, data={"types": types})


async def _refuse_conflicts(session: AsyncSession, operation: Operation, entries: Sequence[Entry]) -> None:
    if not entries:
        return
    later = await repository.changes_since(
        session, entries, user_id=operation.actor.user_id, request_id=operation.request_id
    )
    later_ones = [cast("Entry", one) for one in later]
    found = conflicts_of(entries, later_ones)
    if found:
        undone = undone_already(found, later_ones, user_id=operation.actor.user_id, request_id=operation.request_id)
        code = UndoConflict.code
        raise UndoConflict(
            UNDONE if len(undone) == len(found) else None,
            details=[
                ErrorDetail(code, f"{SAYS[one in undone]}, of the {one.entity_type} {one.entity_id}.", one.field)
                for one in found
            ],
            data={"conflicts": [one.as_json() for one in found]},
        )


async def _lock(session: AsyncSession, operation: Operation, entries: Sequence[Entry]) -> None:
    """Lock what the steps will, in the order in which everybody does: workspaces, people, projects, tasks.

    The actor is one of the people: who takes its access away waits for what it does.
    """
    # What moves is locked by the move, together with where it goes.
    of_tasks = [one for one in entries if one["task_id"] is not None and one["type"] != TASK_MOVED]
    for workspace_id in sorted({one["workspace_id"] for one in entries if one["entity_type"] == "project"}):
        await projects.lock_tree(session, workspace_id)
    people: dict[UUID, set[UUID]] = {}
    for one in of_tasks:
        people.setdefault(one["workspace_id"], {operation.actor.user_id}).update(_people_of(one))
    for workspace_id in sorted(people):
        await hold_members(session, workspace_id=workspace_id, user_ids=people[workspace_id])
    await lock_trees(session, {one["project_id"] for one in of_tasks if one["entity_type"] == "task"})
    await tasks.lock(session, {one["task_id"] for one in of_tasks})


async def _known(
    session: AsyncSession, operation: Operation, entries: Sequence[Entry]
) -> dict[UUID, RowMapping | None]:
    """Return the tasks that are locked now, as the actor sees them."""
    moved = {one["task_id"] for one in entries if one["type"] == TASK_MOVED}
    ids = {one["task_id"] for one in entries} - moved - {None}
    return await _look(session, operation.actor, ids) if ids else {}


async def _look(session: AsyncSession, actor: Principal, task_ids: Collection[UUID]) -> dict[UUID, RowMapping | None]:
    return dict.fromkeys(task_ids) | await tasks.find_all_writable(session, caller=actor, task_ids=task_ids)


def _people_of(entry: Entry) -> set[UUID]:
    """Return who gets something when a change is turned back."""
    former = {one["field"]: one["old"] for one in entry["changes"]}
    named = [*(former.get("assignees") or ()), former.get("assignee_id"), entry["resource"].get("user_id")]
    return {UUID(one) for one in [*named, *(entry["resource"].get("assignees") or ())] if one}


def _step(
    operation: Operation,
    session: AsyncSession,
    entry: Entry,
    warnings: list[dict[str, Any]],
    known: dict[UUID, RowMapping | None],
) -> Step:
    told = ("type", "entity_type", "entity_id", "project_id", "task_id", "changes", "resource")
    former = former_statuses(operation.entries, entry) if entry["type"] == TASK_MOVED else {}
    named = {name: entry[name] for name in told}
    return Step(
        session,
        operation.actor,
        **named,
        former_statuses=former,
        together=operation.together,
        warnings=warnings,
        known=known,
    )


async def _turn_back_run(steps: Sequence[Step], gathering: Gathering) -> None:
    """Turn back changes of one type that followed each other: at once where that can be, or else by halves."""
    if len(steps) == 1 or steps[0].type not in OF_MANY:
        for step in steps:
            await _turn_back(step, gathering)
        return
    mark, said, known = gathering.mark(), len(steps[0].warnings), steps[0].known
    ids = {step.entity_id for step in steps}
    if ids - known.keys() and steps[0].type != TASK_MOVED:
        # What moves is not locked before it does.
        known.update(await _look(steps[0].session, steps[0].actor, ids - known.keys()))
    try:
        async with steps[0].session.begin_nested():
            await OF_MANY[steps[0].type](steps)
    except (AppError, NotApart) as refusal:
        if isinstance(refusal, Overtaken):
            raise
        gathering.back_to(mark)
        known.clear()
        del steps[0].warnings[said:]
        middle = len(steps) // 2
        await _turn_back_run(steps[:middle], gathering)
        await _turn_back_run(steps[middle:], gathering)
    else:
        _forget(known, gathering.since(mark))


async def _turn_back(step: Step, gathering: Gathering) -> None:
    mark = gathering.mark()
    try:
        await INVERSES[step.type](step)
    except AppError as error:
        # Nothing that was sent is invalid: what was named then is there no more.
        if error.kind is not ErrorKind.INVALID:
            raise
        raise impossible(step, error.message, error.details[0].field) from error
    _forget(step.known, gathering.since(mark))


def _forget(known: dict[UUID, RowMapping | None], drafts: Sequence[ChangeDraft]) -> None:
    """Forget tasks as they were before these changes."""
    if any(one.entity_type in PLACES for one in drafts):
        known.clear()
    for one in drafts:
        known.pop(one.entity_id, None)
