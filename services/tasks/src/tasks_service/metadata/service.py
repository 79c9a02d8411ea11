"""Use cases of what apps keep with tasks. Each is part of one transaction that its caller commits."""

from collections.abc import Mapping
from typing import Any

from chassis.clock import utcnow
from chassis.errors import IfMatchRequired
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.metadata import repository
from tasks_service.metadata.errors import MetadataMissing, NamespaceTaken, TooManyNamespaces
from tasks_service.metadata.events import TASK_METADATA_REMOVED, TASK_METADATA_UPDATED, metadata_changed
from tasks_service.metadata.rules import MAX_ENTRIES, app_of, is_same
from tasks_service.metadata.schemas import MetadataOut
from tasks_service.versions.errors import ResourceVersionConflict
from tasks_service.versions.schemas import Expectation


async def put_metadata(
    session: AsyncSession,
    *,
    task: RowMapping,
    namespace: str,
    value: Mapping[str, Any],
    shared: bool | None,
    expected: Expectation,
    actor: Principal,
) -> RowMapping:
    """Keep a value with a task; `shared` stays as it is when it is None. What is equal already changes nothing.

    Raises NamespaceTaken, TooManyNamespaces, IfMatchRequired, ResourceVersionConflict.
    """
    app_id, now = app_of(actor), utcnow()
    await repository.lock_all_of(session, task["id"])
    owner_id = await repository.take(
        session, workspace_id=task["workspace_id"], namespace=namespace, app_id=app_id, now=now
    )
    if owner_id != app_id:
        raise NamespaceTaken
    before = await repository.find(session, task_id=task["id"], namespace=namespace)
    _refuse_stale(before, task, expected)
    if before is None:
        if await repository.count(session, task["id"]) >= MAX_ENTRIES:
            raise TooManyNamespaces
        after = await repository.add(
            session,
            {
                "workspace_id": task["workspace_id"],
                "task_id": task["id"],
                "namespace": namespace,
                "owner_id": app_id,
                "shared": bool(shared),
                "value": value,
                "version": 1,
                "updated_at": now,
            },
        )
    else:
        wanted = {"value": value, "shared": before["shared"] if shared is None else shared}
        if all(is_same(before[name], one) for name, one in wanted.items()):
            return before
        after = await repository.change(session, before, {**wanted, "updated_at": now})
    draft = metadata_changed(TASK_METADATA_UPDATED, before, after, task=task, owner_id=actor.user_id)
    await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=[draft])
    return after


async def remove_metadata(
    session: AsyncSession, *, task: RowMapping, namespace: str, expected: Expectation, actor: Principal
) -> None:
    """Delete what an app keeps with a task. Raises MetadataMissing, NamespaceTaken, and what put_metadata does."""
    await repository.lock_all_of(session, task["id"])
    row = await repository.find(session, task_id=task["id"], namespace=namespace)
    is_own = row is not None and row["owner_id"] == app_of(actor)
    if row is None or not (is_own or row["shared"]):
        raise MetadataMissing
    if not is_own:
        raise NamespaceTaken
    _refuse_stale(row, task, expected)
    await repository.remove(session, row)
    after = {**row, "version": row["version"] + 1, "updated_at": utcnow()}
    draft = metadata_changed(TASK_METADATA_REMOVED, row, after, task=task, owner_id=actor.user_id)
    await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=[draft])


def _refuse_stale(row: RowMapping | None, task: RowMapping, expected: Expectation) -> None:
    if row is not None and task["require_if_match"] and not expected.is_given:
        raise IfMatchRequired
    if expected.version is None or (row is not None and row["version"] == expected.version):
        return
    current = None if row is None else MetadataOut.of(row).model_dump(mode="json")
    raise ResourceVersionConflict(data={"current": current})
