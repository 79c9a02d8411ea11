"""What a task is filed under: its category and its labels have to be there, and stay until the end of the change."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.categories.errors import CategoryNotFound
from tasks_service.categories.schemas import CATEGORY
from tasks_service.names import repository


async def check_filing(
    session: AsyncSession, *, workspace_id: UUID, values: Mapping[str, Any], actor: Principal
) -> None:
    """Keep the category that a task of a workspace is to have from being deleted meanwhile.

    To be called before the task is locked. Raises CategoryNotFound.
    """
    category_id = values.get("category_id")
    if category_id is None:
        return
    found = await repository.keep_usable(
        session, CATEGORY.table, caller=actor, workspace_id=workspace_id, row_ids=[category_id]
    )
    if not found:
        raise CategoryNotFound(field="category_id")
