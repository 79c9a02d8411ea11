"""Who may manage service accounts, as the tasks service says at this moment.

These dependencies come before the one that opens the transaction, so that no connection is held while they ask.
"""

from typing import Annotated
from uuid import UUID

from chassis.db.engine import Database
from chassis.errors import Forbidden
from chassis.web.database import replay_first_answer
from chassis.web.identity import HEADER, CurrentPrincipal
from fastapi import Depends, Query, Request
from sqlalchemy import RowMapping

from auth_service.path_ids import AccountId
from auth_service.service_accounts import repository
from auth_service.service_accounts.errors import ServiceAccountNotFound
from auth_service.service_accounts.policies import may_administer
from auth_service.service_accounts.schemas import ServiceAccountCreate
from auth_service.tasks_client import TasksClient


async def administered_workspace(
    request: Request,
    _caller: CurrentPrincipal,
    workspace_id: Annotated[UUID, Query(description="Whose service accounts.")],
) -> UUID:
    """Return a workspace that the caller administers. Raises ServiceAccountNotFound, Forbidden, TasksUnanswered."""
    await _check(request, workspace_id)
    return workspace_id


async def allowed_account(
    request: Request, body: ServiceAccountCreate, _caller: CurrentPrincipal
) -> ServiceAccountCreate:
    """Return a new account for a workspace that the caller administers. Raises the same."""
    await _check(request, body.workspace_id)
    return body


async def administered_account(request: Request, account_id: AccountId, caller: CurrentPrincipal) -> RowMapping:
    """Return a service account of a workspace that the caller administers. Raises the same."""
    database: Database = request.app.state.database
    async with database.primary.connect() as connection:
        row = await repository.find(connection, account_id)
    if row is None:
        if request.method == "DELETE":
            await replay_first_answer(request, caller)
        raise ServiceAccountNotFound
    await _check(request, row["workspace_id"])
    return row


async def _check(request: Request, workspace_id: UUID) -> None:
    tasks: TasksClient = request.app.state.tasks
    role = await tasks.role_in(workspace_id, identity=request.headers[HEADER])
    if role is None:
        raise ServiceAccountNotFound
    if not may_administer(role):
        raise Forbidden


AdministeredWorkspace = Annotated[UUID, Depends(administered_workspace)]
AllowedAccount = Annotated[ServiceAccountCreate, Depends(allowed_account)]
AdministeredAccount = Annotated[RowMapping, Depends(administered_account)]
