"""All SQL on members as they are shown: with what the directory knows of them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, Select, bindparam, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.directory.repository import IS_DELETED, SHOWN_NAME, person
from tasks_service.workspaces.models import Member, ServiceAccount

member = table_of(Member)
service_account = table_of(ServiceAccount)

Reader = AsyncConnection | AsyncSession

IS_HERE = member.c.workspace_id == bindparam("of_workspace")
KIND = case((service_account.c.id.is_not(None), "service"), else_=func.coalesce(person.c.kind, "human")).label("kind")
SHOWN: Select[Any] = (
    select(*member.c, SHOWN_NAME, IS_DELETED, person.c.avatar_url, person.c.status, KIND)
    .select_from(member.outerjoin(person, person.c.id == member.c.user_id))
    .join(service_account, service_account.c.id == member.c.user_id, isouter=True)
    .where(IS_HERE)
)
COUNT = select(func.count()).select_from(member).where(IS_HERE)
ONE = SHOWN.where(member.c.user_id == bindparam("of_user"))
PAGE = SHOWN.order_by(member.c.created_at, member.c.id).limit(bindparam("page_limit")).offset(bindparam("page_offset"))


async def list_members(
    reader: AsyncConnection, workspace_id: UUID, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return members, those who are longest there first, and how many there are."""
    here = {"of_workspace": workspace_id}
    total = await reader.scalar(COUNT, here)
    rows = await reader.execute(PAGE, {**here, "page_limit": limit, "page_offset": offset})
    return rows.mappings().all(), total or 0


async def find_member(reader: Reader, workspace_id: UUID, user_id: UUID) -> RowMapping | None:
    """Return a member."""
    result = await reader.execute(ONE, {"of_workspace": workspace_id, "of_user": user_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row
