"""How endpoints come by a task: loaded through what the caller sees, and authorised by the route's policy."""

from typing import Annotated
from uuid import UUID

from chassis.identity import Principal
from chassis.web.database import PrimaryConnection, Write, Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.permissions.access import require_policy
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks import repository
from tasks_service.tasks.errors import TaskNotFound
from tasks_service.tasks.policies import held


async def readable_task(task_id: UUID, caller: CurrentPrincipal, connection: FreshConnection) -> RowMapping:
    """Load a task that the caller may see. Raises TaskNotFound."""
    return await _seen(connection, caller, task_id)


async def locatable_task(task_id: UUID, caller: CurrentPrincipal, connection: PrimaryConnection) -> RowMapping:
    """Load a task that the caller may see, from the primary: a service asks once, and a replica may lag.

    Raises TaskNotFound.
    """
    return await _seen(connection, caller, task_id)


async def writable_task(request: Request, task_id: UUID, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a task for what the route's policy says, in the transaction of that.

    Raises TaskNotFound, Forbidden, ProjectArchived.
    """
    row = await _found(write, caller, task_id)
    require_policy(request, caller, held(caller, row))
    if row["is_archived"]:
        raise ProjectArchived
    return row


async def followed_task(request: Request, task_id: UUID, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a task for what concerns the caller alone, such as a star: archived projects have it, too.

    Raises TaskNotFound, Forbidden.
    """
    row = await _seen(write.session, caller, task_id)
    require_policy(request, caller, held(caller, row))
    return row


async def trashed_task(request: Request, task_id: UUID, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a task from the trash. Raises TaskNotFound, Forbidden, ProjectArchived."""
    row = await _found(write, caller, task_id, in_trash=True)
    require_policy(request, caller, held(caller, row))
    if row["is_archived"]:
        raise ProjectArchived
    return row


async def _seen(reader: repository.Reader, caller: Principal, task_id: UUID) -> RowMapping:
    row = await repository.find_visible(reader, caller=caller, task_id=task_id)
    if row is None:
        raise TaskNotFound
    return row


async def _found(write: Write, caller: Principal, task_id: UUID, *, in_trash: bool = False) -> RowMapping:
    row = await repository.find_writable(write.session, caller=caller, task_id=task_id, in_trash=in_trash)
    if row is None:
        raise TaskNotFound
    return row


ReadableTask = Annotated[RowMapping, Depends(readable_task, scope="function")]
LocatableTask = Annotated[RowMapping, Depends(locatable_task, scope="function")]
WritableTask = Annotated[RowMapping, Depends(writable_task, scope="function")]
FollowedTask = Annotated[RowMapping, Depends(followed_task, scope="function")]
TrashedTask = Annotated[RowMapping, Depends(trashed_task, scope="function")]
