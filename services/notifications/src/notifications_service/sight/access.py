from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.sight import repository
from notifications_service.sight.service import Spot, spots_seen


async def sees_shown(
    session: AsyncSession, caller: Principal, workspace_ids: set[UUID], shown: Sequence[Mapping[str, Any]]
) -> bool:
    """Tell whether a caller still sees all these workspaces, and where the resources are that a first answer shows."""
    reader = await session.connection()
    held, _ = await repository.memberships(reader, workspace_ids, [caller.user_id])
    if len(held) < len(workspace_ids):
        return False
    spots = {_spot_of(one) for one in shown if one.get("project_id") is not None}
    return await spots_seen(reader, spots, user_id=caller.user_id) == spots


def _spot_of(one: Mapping[str, Any]) -> Spot:
    task = one.get("task_id")
    return Spot(UUID(one["workspace_id"]), UUID(one["project_id"]), None if task is None else UUID(task))
