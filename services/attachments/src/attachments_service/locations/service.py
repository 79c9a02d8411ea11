"""What a caller may do with the files of a task."""

from uuid import UUID

import aiohttp
from chassis.db.engine import Database
from chassis.errors import ServiceUnavailable
from chassis.identity import Principal
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.locations import repository
from attachments_service.locations.schemas import Located, TaskAccess

QUESTION_SECONDS = 1.0
EDITORS = frozenset({"owner", "admin", "member"})
MANAGERS = frozenset({"owner", "admin"})
NOT_FOUND = 404


async def audience_of(session: AsyncSession, workspace_id: UUID, *, actor_id: UUID) -> list[UUID]:
    """Return who may be told of a change: the members as far as events have told, and who made it."""
    return sorted({*await repository.members_of(session, workspace_id), actor_id})


class Locations:
    """Answers from the projection, and on a miss from the tasks service, asked once."""

    def __init__(self, database: Database, session: aiohttp.ClientSession, tasks_url: str) -> None:
        self._database = database
        self._session = session
        self._tasks_url = tasks_url.rstrip("/")

    async def find(self, task_id: UUID, *, caller: Principal, identity: str) -> TaskAccess | None:
        """Return what the caller may do, or None when there is no such task for the caller.

        The tasks service is asked with the caller's identity, and so within the restriction of an API token.
        """
        async with self._database.reader.connect() as reader:
            known = await repository.find_visible(reader, task_id=task_id, caller=caller)
        if known is None:
            return await self._ask(task_id, identity)
        if known["deleted"]:
            return None
        return TaskAccess(task_id, known["workspace_id"], known["role"] in EDITORS, known["role"] in MANAGERS)

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
        return TaskAccess(task_id, located.workspace_id, located.can_edit, located.role in MANAGERS)
