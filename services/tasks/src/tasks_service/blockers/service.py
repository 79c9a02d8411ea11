"""Whether tasks may be completed though others have to be done first: the one place that says so."""

from collections.abc import Sequence
from uuid import UUID

from chassis.errors import Forbidden
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.blockers import repository
from tasks_service.blockers.errors import Blocked
from tasks_service.blockers.schemas import FORCED, FREE, Passage
from tasks_service.permissions.policies import can
from tasks_service.permissions.schemas import Held


async def pass_blockers(
    session: AsyncSession, *, task: RowMapping, with_ids: Sequence[UUID] = (), force: bool, actor: Principal
) -> Passage:
    """Say how a task is completed that has just been changed, and so is locked, with others in the same change.

    A blocker that is added meanwhile waits for the lock. Raises Blocked, and Forbidden when the actor may not force.
    """
    found = await repository.find_open(session, caller=actor, task_ids=[task["id"], *with_ids])
    if not found:
        return FREE
    blocking = [row for row in found if row["rule"] == "block"]
    if not blocking:
        return Passage(warnings=[{"code": "BLOCKED", "message": "Other tasks were to be done first.", **_told(found)}])
    if not force:
        raise Blocked(data=_told(blocking))
    if not can(actor, "task.complete_anyway", Held(task["role"], task["workspace_id"], task["project_id"])).allowed:
        raise Forbidden
    return Passage(reason=FORCED)


def _told(found: Sequence[RowMapping]) -> dict[str, object]:
    """Return the ids of those that the caller sees, and how many others there are."""
    seen = {row["id"] for row in found if row["is_seen"]}
    hidden = {row["id"] for row in found if not row["is_seen"]}
    return {"task_ids": sorted(str(one) for one in seen), "hidden": len(hidden)}
