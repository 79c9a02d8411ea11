"""What a task is filed under: its category and its labels have to be there, and stay until the end of the change."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from chassis.errors import InvalidInput
from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.categories.errors import CategoryNotFound
from tasks_service.categories.schemas import CATEGORY
from tasks_service.labels.errors import LabelNotFound
from tasks_service.labels.schemas import LABEL
from tasks_service.names import repository
from tasks_service.names.schemas import NamedKind


async def check_filing(
    session: AsyncSession, *, workspace_id: UUID, values: Mapping[str, Any], actor: Principal
) -> None:
    """Keep the category and labels that a task of a workspace is to have from being deleted meanwhile.

    To be called before the task is locked. Raises CategoryNotFound or LabelNotFound, with all that is missing.
    """
    category_id, labels = values.get("category_id"), values.get("labels")
    missing: list[InvalidInput] = []
    if category_id is not None and not await _keep(session, CATEGORY, workspace_id, [category_id], actor):
        missing.append(CategoryNotFound(field="category_id"))
    if labels:
        found = await _keep(session, LABEL, workspace_id, set(labels), actor)
        missing += [LabelNotFound(field=f"labels.{index}") for index, one in enumerate(labels) if one not in found]
    if missing:
        raise type(missing[0])(details=[detail for one in missing for detail in one.details])


async def _keep(
    session: AsyncSession, kind: NamedKind, workspace_id: UUID, row_ids: Collection[UUID], actor: Principal
) -> set[UUID]:
    return await repository.keep_usable(
        session, kind.table, caller=actor, workspace_id=workspace_id, row_ids=row_ids, shared_only=kind is LABEL
    )
