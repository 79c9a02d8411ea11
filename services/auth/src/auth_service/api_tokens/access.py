"""What replays may show: the choices of the caller alone."""

from uuid import UUID

from chassis.identity import Principal
from chassis.web.database import Shown
from sqlalchemy.ext.asyncio import AsyncSession


async def sees_workspaces(_session: AsyncSession, _caller: Principal, _workspace_ids: set[UUID], _shown: Shown) -> bool:
    """Tell yes: a workspace in an answer is one that the caller named, or whose administration was just proved."""
    return True
