"""The one question that this service asks another: what somebody is in a workspace."""

from uuid import UUID

import aiohttp
from chassis.web.identity import HEADER
from pydantic import BaseModel

from auth_service.service_accounts.errors import TasksUnanswered

QUESTION_SECONDS = 1.0
RETRY_AFTER = 2


class MembershipIn(BaseModel):
    """A membership, as far as it matters here."""

    workspace_id: UUID
    role: str


class MembershipsIn(BaseModel):
    memberships: list[MembershipIn]


class TasksClient:
    """Asks the tasks service, once and for a second at most. Never to be asked while a database connection is held."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url.rstrip('/')}/internal/memberships"

    async def role_in(self, workspace_id: UUID, *, identity: str) -> str | None:
        """Return the role in a workspace of the caller with this identity header; None for one who is no member.

        Raises TasksUnanswered without an answer.
        """
        try:
            known = MembershipsIn.model_validate_json(await self._ask(identity)).memberships
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TasksUnanswered(retry_after=RETRY_AFTER, log_detail=type(error).__name__) from None
        return next((one.role for one in known if one.workspace_id == workspace_id), None)

    async def _ask(self, identity: str) -> bytes:
        timeout = aiohttp.ClientTimeout(total=QUESTION_SECONDS)
        headers = {HEADER: identity}
        async with self._session.get(self._url, headers=headers, timeout=timeout, allow_redirects=False) as answer:
            answer.raise_for_status()
            return await answer.read()
