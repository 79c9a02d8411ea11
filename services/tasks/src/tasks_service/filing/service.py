"""What a task is filed under: its category and its labels have to be there, and stay until the end of the change."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.errors import ErrorDetail
from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.categories.errors import CategoryNotFound
from tasks_service.categories.schemas import CATEGORY
from tasks_service.labels.errors import LabelNotFound
from tasks_service.labels.schemas import LABEL
from tasks_service.names import repository


async def check_filing(
    session: AsyncSession, *, workspace_id: UUID, values: Mapping[str, Any], actor: Principal
) -> None:
    """Keep the category and labels that a task of a workspace is to have from being deleted meanwhile.

    To be called before the task is locked. Raises CategoryNotFound, LabelNotFound.
    """
    if values.get("category_id") is not None:
        await _keep_category(session, workspace_id, values["category_id"], actor)
    if values.get("labels"):
        await _keep_labels(session, workspace_id, values["labels"], actor)


async def _keep_category(session: AsyncSession, workspace_id: UUID, category_id: UUID, actor: Principal) -> None:
    found = await repository.keep_usable(
        session, CATEGORY.table, caller=actor, workspace_id=workspace_id, row_ids=[category_id]
    )
    if not found:
        raise CategoryNotFound(field="category_id")


async def _keep_labels(session: AsyncSession, workspace_id: UUID, wanted: Sequence[UUID], actor: Principal) -> None:
    found = await repository.keep_usable(
        session, LABEL.table, caller=actor, workspace_id=workspace_id, row_ids=set(wanted), shared_only=True
    )
    missing = [index for index, one in enumerate(wanted) if one not in found]
    if missing:
        code, message = LabelNotFound.code, LabelNotFound.message
        raise LabelNotFound(details=[ErrorDetail(code, message, f"labels.{index}") for index in missing])
