"""Use cases of checklists. Each is part of one transaction that its caller commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees import repository as assignees
from tasks_service.assignees.errors import AssigneeNoAccess
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.checklists import repository
from tasks_service.checklists.errors import ChecklistFull, ChecklistItemMissing, ChecklistItemNotFound
from tasks_service.checklists.events import (
    CHECKLIST_ITEM_CREATED,
    CHECKLIST_ITEM_UPDATED,
    item_changed,
    item_deleted,
)
from tasks_service.checklists.rules import MAX_ITEMS, Places, index_beside, placed_anew, position_at
from tasks_service.checklists.schemas import ChecklistItemCreate, ChecklistItemOut, ChecklistItemPatch, Place
from tasks_service.tasks.errors import ProjectNotFound
from tasks_service.tasks.schemas import TaskCreate
from tasks_service.tasks.service import hold_tree, lock_task, make_task
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation
from tasks_service.visibility.repository import hold_members

KIND = versions.Kind(repository.item, ChecklistItemOut.of, field_of={}, derived=frozenset({"done_at", "done_by"}))


async def add_item(
    session: AsyncSession, *, task: RowMapping, wanted: ChecklistItemCreate, actor: Principal
) -> RowMapping:
    """Add an item to the checklist of a task.

    Raises AssigneeNoAccess, TaskNotFound, ChecklistFull, ChecklistItemNotFound.
    """
    await _check_assignee(session, task, wanted.assignee_id)
    await lock_task(session, task=task, actor=actor)
    others = await repository.places_of(session, task["id"])
    if len(others) >= MAX_ITEMS:
        raise ChecklistFull
    position, drafts = await _place(session, task, others, wanted)
    row = await repository.add(session, _new_item(task, wanted, position, actor))
    drafts.append(item_changed(CHECKLIST_ITEM_CREATED, None, row, project_id=task["project_id"]))
    await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=drafts)
    return row


async def update_item(
    session: AsyncSession,
    *,
    task: RowMapping,
    item: RowMapping,
    patch: ChecklistItemPatch,
    expected: Expectation,
    actor: Principal,
) -> RowMapping:
    """Apply a merge patch, and move the item if that names a place. What is equal already changes nothing.

    Raises what versions.service.change raises, AssigneeNoAccess, ChecklistItemNotFound, ChecklistItemMissing.
    """
    wanted = patch.given()
    if wanted.get("assignee_id") != item["assignee_id"]:
        await _check_assignee(session, task, wanted.get("assignee_id"))
    drafts: list[ChangeDraft] = []
    if patch.moves:
        await lock_task(session, task=task, actor=actor)
        item = await find_item(session, task_id=task["id"], item_id=item["id"])
        others = [one for one in await repository.places_of(session, task["id"]) if one[0] != item["id"]]
        wanted["position"], drafts = await _place(session, task, others, patch, now=item["position"])
    changed = await versions.change(
        session,
        KIND,
        item,
        wanted=wanted,
        expected=expected,
        read_again=lambda: find_item(session, task_id=task["id"], item_id=item["id"], locked=True),
        follow=lambda _row, values: _following(values, actor),
    )
    if changed is None:
        return item
    drafts.append(item_changed(CHECKLIST_ITEM_UPDATED, changed.before, changed.after, project_id=task["project_id"]))
    await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=drafts)
    return changed.after


async def delete_item(session: AsyncSession, *, item: RowMapping, expected: Expectation, actor: Principal) -> None:
    """Delete an item, for good. Raises ChecklistItemMissing, IfMatchRequired, ResourceVersionConflict."""
    found = await find_item(session, task_id=item["task_id"], item_id=item["id"], locked=True)
    await versions.refuse_unexpected(session, KIND, found, expected=expected)
    await repository.remove(session, found["id"])
    draft = item_deleted(found, project_id=found["project_id"])
    await changes.record(session, workspace_id=found["workspace_id"], actor=actor, drafts=[draft])


async def put_item_back(
    session: AsyncSession,
    *,
    task: RowMapping,
    item_id: UUID,
    patch: ChecklistItemPatch,
    position: str | None,
    actor: Principal,
) -> None:
    """Give an item what it had before, its place among it. Raises AssigneeNoAccess, ChecklistItemMissing."""
    wanted = patch.given() | ({} if position is None else {"position": position})
    await _check_assignee(session, task, wanted.get("assignee_id"))
    item = await find_item(session, task_id=task["id"], item_id=item_id, locked=True)
    changed = await versions.change(
        session,
        KIND,
        item,
        wanted=wanted,
        expected=Expectation(is_given=True),
        read_again=lambda: find_item(session, task_id=task["id"], item_id=item_id, locked=True),
        follow=lambda _row, values: _following(values, actor),
    )
    if changed is not None:
        draft = item_changed(CHECKLIST_ITEM_UPDATED, changed.before, changed.after, project_id=task["project_id"])
        await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=[draft])


async def restore_item(session: AsyncSession, *, task: RowMapping, item: Mapping[str, Any], actor: Principal) -> None:
    """Bring an item back that was deleted, as it was told of then, and with its id.

    Raises AssigneeNoAccess, TaskNotFound, ChecklistFull.
    """
    was = ChecklistItemOut.model_validate(item)
    await _check_assignee(session, task, was.assignee_id)
    await lock_task(session, task=task, actor=actor)
    if len(await repository.places_of(session, task["id"])) >= MAX_ITEMS:
        raise ChecklistFull
    # Numbers of versions are not used twice.
    values = {**was.model_dump(), "version": was.version + 1, "updated_at": utcnow()}
    row = await repository.add(session, values)
    draft = item_changed(CHECKLIST_ITEM_CREATED, None, row, project_id=task["project_id"])
    await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=[draft])


@dataclass(frozen=True, slots=True)
class Converted:
    """The task that an item became, and the assignee who was left out."""

    task: RowMapping
    dropped: UUID | None


async def convert_item(
    session: AsyncSession, *, task: RowMapping, item: RowMapping, expected: Expectation, actor: Principal
) -> Converted:
    """Make a subtask of an item, which goes. An assignee who can't see the task any more is left out.

    Raises TaskNotFound, ChecklistItemMissing, IfMatchRequired, ResourceVersionConflict, Forbidden, TooDeep.
    """
    if item["assignee_id"] is not None:
        await hold_members(session, workspace_id=task["workspace_id"], user_ids=[item["assignee_id"]])
    task = await hold_tree(session, task, actor)
    task = await lock_task(session, task=task, actor=actor)
    found = await find_item(session, task_id=task["id"], item_id=item["id"], locked=True)
    await versions.refuse_unexpected(session, KIND, found, expected=expected)
    assignee_id = await _still_sees(session, task, found["assignee_id"])
    try:
        made, drafts = await make_task(session, wanted=_as_task(task, found, assignee_id), actor=actor)
    except ProjectNotFound:
        # Who has the task alone by a share makes no tasks beside it.
        raise Forbidden from None
    await repository.remove(session, found["id"])
    drafts.append(item_deleted(found, project_id=task["project_id"]))
    await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=drafts)
    return Converted(made, None if assignee_id == found["assignee_id"] else found["assignee_id"])


async def _still_sees(session: AsyncSession, task: RowMapping, user_id: UUID | None) -> UUID | None:
    if user_id is None:
        return None
    readers = await assignees.readers_among(session, task_id=task["id"], user_ids=[user_id])
    return user_id if user_id in readers else None


def _as_task(task: RowMapping, item: RowMapping, assignee_id: UUID | None) -> TaskCreate:
    statuses: Sequence[tuple[str, str]] = task["statuses"]
    done = next((key for key, category in statuses if item["done"] and category == "done"), None)
    due = item["due_date"]
    return TaskCreate.model_validate(
        {
            "title": item["text"],
            "project_id": task["project_id"],
            "parent_id": task["id"],
            "status": done,
            "assignees": [assignee_id] if assignee_id else [],
            "due": None if due is None else due.isoformat(),
        }
    )


async def copy_items(
    session: AsyncSession, *, items: Sequence[Mapping[str, Any]], copies: Mapping[UUID, RowMapping], actor: Principal
) -> list[ChangeDraft]:
    """Give new tasks the items of those that they are copies of, and return the changes."""
    if not items:
        return []
    rows = await repository.add_all(session, [_copied(one, copies[one["task_id"]], actor) for one in items])
    project_of = {row["id"]: row["project_id"] for row in copies.values()}
    return [
        item_changed(CHECKLIST_ITEM_CREATED, None, row, project_id=project_of[row["task_id"]])
        for row in sorted(rows, key=lambda row: (row["task_id"], row["position"]))
    ]


def _copied(item: Mapping[str, Any], task: RowMapping, actor: Principal) -> dict[str, Any]:
    wanted = ChecklistItemCreate.model_construct(
        **{name: item[name] for name in ("text", "done", "assignee_id", "due_date")}
    )
    return _new_item(task, wanted, item["position"], actor)


async def find_item(session: AsyncSession, *, task_id: UUID, item_id: UUID, locked: bool = False) -> RowMapping:
    """Return an item of a task that the caller has been found to see. Raises ChecklistItemMissing."""
    row = await repository.find(session, task_id=task_id, item_id=item_id, locked=locked)
    if row is None:
        raise ChecklistItemMissing
    return row


async def take_off_items(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> list[ChangeDraft]:
    """Take somebody who leaves a workspace off all items there, and return the changes."""
    before = await repository.assigned_to(session, workspace_id=workspace_id, user_id=user_id)
    after = await repository.take_off(session, [row["id"] for row in before], now=utcnow()) if before else {}
    return [item_changed(CHECKLIST_ITEM_UPDATED, row, after[row["id"]], project_id=row["project_id"]) for row in before]


async def _check_assignee(session: AsyncSession, task: RowMapping, user_id: UUID | None) -> None:
    """Refuse whoever can't see the task; who can will until the end. To be called before the task is locked."""
    if user_id is None:
        return
    await hold_members(session, workspace_id=task["workspace_id"], user_ids=[user_id])
    if not await assignees.readers_among(session, task_id=task["id"], user_ids=[user_id]):
        raise AssigneeNoAccess(field="assignee_id")


async def _place(
    session: AsyncSession, task: RowMapping, others: Places, wanted: Place, *, now: str | None = None
) -> tuple[str, list[ChangeDraft]]:
    """Return a position among the others of a locked task, and the changes of those that had to make room."""
    index = index_beside(others, after_id=wanted.after_id, before_id=wanted.before_id)
    if index is None:
        raise ChecklistItemNotFound(field="after_id" if wanted.after_id else "before_id")
    position = position_at(others, index, now=now)
    if position is not None:
        return position, []
    position, moved = placed_anew(others, index)
    pairs = await repository.place_anew(session, moved, now=utcnow())
    project_id = task["project_id"]
    drafts = [item_changed(CHECKLIST_ITEM_UPDATED, before, after, project_id=project_id) for before, after in pairs]
    return position, drafts


def _following(changed: Mapping[str, Any], actor: Principal) -> dict[str, Any]:
    if "done" not in changed:
        return {}
    return _done(actor) if changed["done"] else {"done_at": None, "done_by": None}


def _done(actor: Principal) -> dict[str, Any]:
    return {"done_at": utcnow(), "done_by": actor.user_id}


def _new_item(task: RowMapping, wanted: ChecklistItemCreate, position: str, actor: Principal) -> dict[str, Any]:
    now = utcnow()
    return {
        **({"done_at": None, "done_by": None} | (_done(actor) if wanted.done else {})),
        **wanted.model_dump(exclude={"after_id", "before_id"}),
        "id": uuid7(),
        "workspace_id": task["workspace_id"],
        "task_id": task["id"],
        "position": position,
        "created_by": actor.user_id,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
