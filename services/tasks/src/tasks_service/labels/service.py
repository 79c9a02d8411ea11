"""Use cases of labels. Each is part of one transaction that its caller commits."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.labels import repository
from tasks_service.labels.errors import LabelNotFound, TooManyLabels
from tasks_service.labels.events import personal_label_changed
from tasks_service.labels.schemas import LABEL, MAX_LABELS, LabelCreate
from tasks_service.names import repository as names_repository
from tasks_service.names import service as names
from tasks_service.names.errors import NamedMissing
from tasks_service.names.events import named_changed
from tasks_service.tasks import service as tasks
from tasks_service.tasks.events import TASK_UPDATED, task_changed
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation


async def create_label(session: AsyncSession, *, wanted: LabelCreate, actor: Principal) -> RowMapping:
    """Add a label to a workspace, or a personal one. Raises WorkspaceNotFound, Forbidden, LabelExists."""
    return await names.create(session, LABEL, wanted=wanted, personal=wanted.personal, actor=actor)


async def delete_label(session: AsyncSession, *, row: RowMapping, expected: Expectation, actor: Principal) -> None:
    """Delete a label and take it off all tasks: one event each, and one of the label.

    Raises NamedMissing, IfMatchRequired, ResourceVersionConflict.
    """
    found = (await _locked(session, [row["id"]], actor))[row["id"]]
    await versions.refuse_unexpected(session, names.versioned(LABEL), found, expected=expected)
    if found["owner_id"] is None:
        await _end(session, found, pairs=await repository.take_off_all(session, found["id"]), actor=actor)
        return
    gone = await repository.remove_personal(session, label_id=found["id"])
    await _end(session, found, personal=[personal_label_changed(one, "removed") for one in gone], actor=actor)


async def merge_labels(
    session: AsyncSession, *, row: RowMapping, into: UUID, expected: Expectation, actor: Principal
) -> RowMapping:
    """Give all tasks of a label another one in its place, and delete it; return the one that goes on.

    Raises NamedMissing, LabelNotFound, IfMatchRequired, ResourceVersionConflict.
    """
    locked = await _locked(session, [row["id"], into], actor)
    found, target = locked[row["id"]], locked.get(into)
    if target is None or into == row["id"] or not _are_of_one_place(found, target):
        raise LabelNotFound(field="into")
    await versions.refuse_unexpected(session, names.versioned(LABEL), found, expected=expected)
    reason = f"merged into {into}"
    if found["owner_id"] is None:
        pairs = await repository.put_another_on_all(session, label_id=found["id"], into=into)
        await _end(session, found, pairs=pairs, actor=actor, reason=reason)
        return target
    added = await repository.replace_personal(session, label_id=found["id"], into=into)
    gone = await repository.remove_personal(session, label_id=found["id"])
    moved = [personal_label_changed(one, "added") for one in added]
    moved += [personal_label_changed(one, "removed") for one in gone]
    await _end(session, found, personal=moved, actor=actor, reason=reason)
    return target


async def put_shared(
    session: AsyncSession, *, task: RowMapping, label: RowMapping, expected: Expectation, actor: Principal
) -> RowMapping:
    """Put a label of the workspace on a task; nothing happens when it is there.

    Raises NamedMissing, TooManyLabels, TaskNotFound, and what tasks.service.apply_edit raises.
    """
    kept = await names_repository.keep_usable(
        session, LABEL.table, caller=actor, workspace_id=task["workspace_id"], row_ids=[label["id"]], shared_only=True
    )
    if not kept:
        raise NamedMissing
    now = await tasks.lock_task(session, task=task, actor=actor)
    labels = sorted({*now["labels"], label["id"]})
    if len(labels) > MAX_LABELS and label["id"] not in now["labels"]:
        raise TooManyLabels(field="label_id")
    return await _relabel(session, now, labels, expected, actor)


async def take_shared_off(
    session: AsyncSession, *, task: RowMapping, label: RowMapping, expected: Expectation, actor: Principal
) -> RowMapping:
    """Take a label of the workspace off a task; nothing happens when it is not there. Raises as put_shared does."""
    now = await tasks.lock_task(session, task=task, actor=actor)
    labels = [one for one in now["labels"] if one != label["id"]]
    return await _relabel(session, now, labels, expected, actor)


async def put_personal(session: AsyncSession, *, task: RowMapping, label: RowMapping, actor: Principal) -> None:
    """Put a label of the actor's own on a task, which does not change; nothing happens when it is there.

    Raises NamedMissing, TooManyLabels.
    """
    kept = await names_repository.keep_usable(
        session, LABEL.table, caller=actor, workspace_id=label["workspace_id"], row_ids=[label["id"]]
    )
    if not kept:
        raise NamedMissing
    added = await repository.add_personal(session, row=label, task=task, user_id=actor.user_id, maximum=MAX_LABELS)
    if added is None:
        raise TooManyLabels(field="label_id")
    if added:
        draft = personal_label_changed(_personal(task, label, actor), "added")
        await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=[draft])


async def take_personal_off(session: AsyncSession, *, task: RowMapping, label: RowMapping, actor: Principal) -> None:
    """Take a label of the actor's own off a task; nothing happens when it is not there."""
    gone = await repository.remove_personal(session, label_id=label["id"], task_id=task["id"])
    if gone:
        drafts = [personal_label_changed(one, "removed") for one in gone]
        await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=drafts)


async def _relabel(
    session: AsyncSession, task: RowMapping, labels: Sequence[UUID], expected: Expectation, actor: Principal
) -> RowMapping:
    edit = tasks.Edit(TASK_UPDATED, {"labels": labels}, expected)
    return await tasks.apply_edit(session, task=task, edit=edit, actor=actor)


async def _locked(session: AsyncSession, wanted: Sequence[UUID], actor: Principal) -> dict[UUID, RowMapping]:
    """Lock labels; the first one has to be there. Raises NamedMissing."""
    found = await names_repository.lock_visible(session, LABEL.table, caller=actor, row_ids=set(wanted))
    if wanted[0] not in found:
        raise NamedMissing
    return found


def _are_of_one_place(one: RowMapping, other: RowMapping) -> bool:
    return (one["workspace_id"], one["owner_id"]) == (other["workspace_id"], other["owner_id"])


def _personal(task: RowMapping, label: RowMapping, actor: Principal) -> RowMapping:
    row: dict[str, Any] = {
        "workspace_id": task["workspace_id"],
        "project_id": task["project_id"],
        "task_id": task["id"],
        "user_id": actor.user_id,
        "label_id": label["id"],
        "name": label["name"],
        "color": label["color"],
    }
    return cast("RowMapping", row)


async def _end(
    session: AsyncSession,
    row: RowMapping,
    *,
    pairs: Sequence[tuple[RowMapping, RowMapping]] = (),
    personal: Sequence[ChangeDraft] = (),
    actor: Principal,
    reason: str | None = None,
) -> None:
    """Delete a label that is on nothing any more, and tell of it and of what it was on."""
    await names_repository.remove(session, LABEL.table, row["id"])
    after = cast("RowMapping", {**row, "version": row["version"] + 1, "updated_at": utcnow()})
    drafts = [*personal, *(task_changed(TASK_UPDATED, *pair) for pair in pairs)]
    await _record(session, [*drafts, named_changed(LABEL, "deleted", row, after)], actor, reason)


async def _record(session: AsyncSession, drafts: Sequence[ChangeDraft], actor: Principal, reason: str | None) -> None:
    """Write changes to the logs of their workspaces, which are locked in one order."""

    def place(draft: ChangeDraft) -> UUID:
        return UUID(draft.resource["workspace_id"])

    for workspace_id, of_one in groupby(sorted(drafts, key=place), key=place):
        await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=list(of_one), reason=reason)
