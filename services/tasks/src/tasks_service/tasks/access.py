"""How endpoints come by a task: loaded and authorised in one step, or refused."""

from typing import Annotated
from uuid import UUID

from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.web.database import PrimaryConnection, Write, Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.permissions.rules import Action
from tasks_service.tasks import repository
from tasks_service.tasks.errors import TaskNotFound
from tasks_service.tasks.policies import allows


async def readable_task(task_id: UUID, caller: CurrentPrincipal, connection: FreshConnection) -> RowMapping:
    """Load a task that the caller may see. Raises TaskNotFound."""
    row = await repository.find_visible(connection, caller=caller, task_id=task_id)
    if row is None:
        raise TaskNotFound
    return row


async def locatable_task(task_id: UUID, caller: CurrentPrincipal, connection: PrimaryConnection) -> RowMapping:
    """Load a task that the caller may see, from the primary: a service asks once, and a replica may lag.

    Raises TaskNotFound.
    """
    return await readable_task(task_id, caller, connection)


async def editable_task(task_id: UUID, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a task that the caller may change, in the transaction of the change. Raises TaskNotFound, Forbidden."""
    return await _allowed(write, caller, "task.edit", task_id)


async def deletable_task(task_id: UUID, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a task that the caller may delete, in the transaction of that. Raises TaskNotFound, Forbidden."""
    return await _allowed(write, caller, "task.delete", task_id)


async def _allowed(write: Write, caller: Principal, action: Action, task_id: UUID) -> RowMapping:
    row = await repository.find_visible(write.session, caller=caller, task_id=task_id)
    if row is None:
        raise TaskNotFound
    if not allows(caller, action, row):
        raise Forbidden
    return row


ReadableTask = Annotated[RowMapping, Depends(readable_task, scope="function")]
LocatableTask = Annotated[RowMapping, Depends(locatable_task, scope="function")]
EditableTask = Annotated[RowMapping, Depends(editable_task, scope="function")]
DeletableTask = Annotated[RowMapping, Depends(deletable_task, scope="function")]
