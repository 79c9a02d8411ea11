"""Taking in from files who hears of tasks, and what is for the importer alone: stars and personal labels."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.import_details import repository
from tasks_service.import_details.service import tasks_of, unknown_of
from tasks_service.import_sources import repository as sources
from tasks_service.import_sources.schemas import UNKNOWN, Incoming, Taking
from tasks_service.labels.events import personal_label_changed
from tasks_service.stars.events import star_added
from tasks_service.watchers.events import watcher_added, watcher_muted

NOT_YOURS = "This is somebody else's own, and is left out."


async def take_watchers(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Let those who see tasks hear of them; whether somebody hears nothing is their own matter."""
    tasks = await tasks_of(session, taking, [one.line.task_id for one in incoming])
    incoming = await unknown_of(session, tasks, incoming, repository.watcher, "user_id")
    there = {row["id"]: row for row in tasks.rows.values()}
    readers = await repository.readers_of(session, there, {one.line.user_id for one in incoming})
    rows = {}
    for one in incoming:
        task = tasks.find(taking, one)
        if task is None or not _hears(taking, one, task, readers):
            continue
        rows[task["id"], one.line.user_id] = {
            "workspace_id": task["workspace_id"],
            "task_id": task["id"],
            "user_id": one.line.user_id,
            "reason": one.line.reason,
            "is_watching": one.line.is_watching,
            "is_muted": one.line.is_muted,
            "created_at": one.line.created_at or utcnow(),
        }
    for row in await repository.add(session, repository.watcher, list(rows.values())):
        if row["is_watching"]:
            taking.drafts.append(watcher_added(row, there[row["task_id"]]))
        if row["is_muted"]:
            taking.drafts.append(watcher_muted(row, there[row["task_id"]]))


def _hears(taking: Taking, one: Incoming, task: RowMapping, readers: set[tuple[UUID, UUID]]) -> bool:
    line = one.line
    if (task["id"], line.user_id) not in readers:
        taking.warn(one.number, "WATCHER_NO_ACCESS", "This one can't see the task, and is left out.", "user_id")
        return False
    if line.user_id != taking.terms.actor.user_id and (line.is_muted or not line.is_watching):
        taking.warn(one.number, "NOT_YOURS", NOT_YOURS, "user_id")
        return False
    return True


def _is_own(taking: Taking, one: Incoming) -> bool:
    if one.line.user_id == taking.terms.actor.user_id:
        return True
    taking.warn(one.number, "NOT_YOURS", NOT_YOURS, "user_id")
    return False


async def take_stars(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Give tasks the stars of the importer."""
    tasks = await tasks_of(session, taking, [one.line.task_id for one in incoming])
    incoming = await unknown_of(session, tasks, incoming, repository.star, "user_id")
    rows = {}
    for one in incoming:
        task = tasks.find(taking, one)
        if task is not None and _is_own(taking, one):
            rows[task["id"]] = _mark(one, task) | {"created_at": one.line.created_at or utcnow()}
    there = {row["id"]: row for row in tasks.rows.values()}
    made = await repository.add(session, repository.star, list(rows.values()))
    taking.drafts += [star_added(row, there[row["task_id"]]) for row in made]


def _mark(one: Incoming, task: RowMapping) -> dict[str, Any]:
    return {"workspace_id": task["workspace_id"], "task_id": task["id"], "user_id": one.line.user_id}


async def take_personal_labels(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Put labels of the importer's own on tasks: those of the file, or those that there are."""
    terms = taking.terms
    tasks = await tasks_of(session, taking, [one.line.task_id for one in incoming])
    targets = await sources.find(session, terms, "label", [one.line.label_id for one in incoming])
    told = {name for name, one in targets.items() if one.facts is not None}
    ids = {one.line.label_id: _label_id(one.line.label_id, targets) for one in incoming}
    labels = await repository.own_labels(session, list(ids.values()), terms.actor.user_id)
    of_tasks, table = [row["id"] for row in tasks.rows.values()], repository.personal_label
    marks = await repository.there(session, table.c.task_id, of_tasks, [table.c.task_id, table.c.label_id])
    rows = {}
    for one in incoming:
        known = tasks.rows.get(one.line.task_id)
        if known is not None and (known["id"], ids[one.line.label_id]) in marks:
            continue
        task = tasks.find(taking, one)
        label = labels.get(ids[one.line.label_id])
        if label is None and one.line.label_id not in told:
            taking.fail(one.number, UNKNOWN, "You have no such label.", "label_id")
        elif task is not None and label is not None and _is_own(taking, one):
            rows[task["id"], label["id"]] = _mark(one, task) | {"label_id": label["id"]}
    there = {row["id"]: row for row in tasks.rows.values()}
    for row in await repository.add(session, repository.personal_label, list(rows.values())):
        label, task = labels[row["label_id"]], there[row["task_id"]]
        shown = {**row, "project_id": task["project_id"], "name": label["name"], "color": label["color"]}
        taking.drafts.append(personal_label_changed(cast("RowMapping", shown), "added"))


def _label_id(source_id: UUID, targets: Mapping[UUID, Any]) -> UUID:
    found: UUID = targets[source_id].id if source_id in targets else source_id
    return found
