"""What a caller may do with the files of a task."""

from dataclasses import fields
from uuid import UUID

import aiohttp
from chassis.db.engine import Database
from chassis.errors import ServiceUnavailable
from chassis.identity import Principal
from pydantic import ValidationError
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.locations import repository
from attachments_service.locations.policies import EDITORS, MANAGERS, role_in_task
from attachments_service.locations.schemas import Located, Standing, TaskAccess

QUESTION_SECONDS = 1.0
NOT_FOUND = 404


STANDING = tuple(one.name for one in fields(Standing))


async def audience_of(session: AsyncSession, task_id: UUID, *, actor_id: UUID) -> list[UUID]:
    """Return who may be told of a change: who sees the task as far as events have told, and who made it."""
    rows = await repository.standings(session, task_id)
    return sorted({*(row["user_id"] for row in rows if _role_of(row) is not None), actor_id})


def _role_of(row: RowMapping) -> str | None:
    if row["workspace_role"] is None:
        return None
    return role_in_task(Standing(**{name: row[name] for name in STANDING}))


class Locations:
    """Answers from the projection, and on a miss from the tasks service, asked once."""

    def __init__(self, database: Database, session: aiohttp.ClientSession, tasks_url: str) -> None:
        self._database = database
        self._session = session
        self._tasks_url = tasks_url.rstrip("/")

    async def find(self, task_id: UUID, *, caller: Principal, identity: str) -> TaskAccess | None:
        """Return what the caller may do, or None when there is no such task for the caller.

        The tasks service is asked with the caller's identity, and so within the restriction of an API token. It is the
        primary that is read: who may do what is not decided by a replica that lags.
        """
        async with self._database.primary.connect() as reader:
            known = await repository.find(reader, task_id=task_id, caller=caller)
        if known is not None and known["deleted"]:
            return None
        role = None if known is None else _role_of(known)
        if known is None or role is None:
            return await self._ask(task_id, identity)
        return TaskAccess(task_id, known["workspace_id"], role in EDITORS, role in MANAGERS, known["is_archived"])

    async def _ask(self, task_id: UUID, identity: str) -> TaskAccess | None:
        """Ask the tasks service; its events about this may be on their way. Raises ServiceUnavailable."""
        url = f"{self._tasks_url}/internal/tasks/{task_id}"
        timeout = aiohttp.ClientTimeout(total=QUESTION_SECONDS)
        try:
            async with self._session.get(url, headers={"x-taskloom-identity": identity}, timeout=timeout) as answer:
                if answer.status == NOT_FOUND:
                    return None
                answer.raise_for_status()
                located = Located.model_validate_json(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
            raise ServiceUnavailable(retry_after=1, log_detail=type(error).__name__) from None
        is_manager = located.role in MANAGERS
        return TaskAccess(task_id, located.workspace_id, located.can_edit, is_manager, located.is_archived)
