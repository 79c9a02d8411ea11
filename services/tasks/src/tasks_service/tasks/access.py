"""How endpoints come by a task: loaded through what the caller sees, and authorised by the route's policy."""

from dataclasses import dataclass
from typing import Annotated, cast
from uuid import UUID

from chassis.db.direct import reading_directly
from chassis.db.engine import Database
from chassis.db.reading_together import ReadTogether
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.web.database import PrimaryConnection, Write, Writing, bound_of
from chassis.web.flags import Flag
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Path, Query, Request
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.permissions.access import require_policy
from tasks_service.permissions.policies import can
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks import repository
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.tasks.policies import held
from tasks_service.tasks.rules import NAME_PATTERN, Key, task_named
from tasks_service.visibility.repository import WHOLE, sight_of


@dataclass(frozen=True, slots=True)
class Named:
    """How a path names a task: by its id, or by its key, which is of one workspace."""

    name: UUID | Key
    workspace_id: UUID | None


Permanently = Annotated[
    Flag, Query(description="Delete it for good, from the trash or not: for managers of its project.")
]


async def named_task(
    task_id: Annotated[
        str,
        Path(
            pattern=NAME_PATTERN,
            description="The task's id, or its key, such as `PROJ-12`, which may be a former one.",
            examples=["PROJ-12"],
        ),
    ],
    workspace_id: Annotated[
        UUID | None, Query(description="Whose key it is, where several of your workspaces have the same.")
    ] = None,
) -> Named:
    """Return what the path names."""
    return Named(task_named(task_id), workspace_id)


NamedTask = Annotated[Named, Depends(named_task)]


async def readable_task(named: NamedTask, caller: CurrentPrincipal, connection: FreshConnection) -> RowMapping:
    """Load a task that the caller may see. Raises TaskNotFound."""
    return await _seen(connection, caller, named)


TasksTogether = ReadTogether[tuple[UUID, UUID], RowMapping | None]


def tasks_together(database: Database) -> TasksTogether:
    """Return what loads tasks for callers who see all that they may, by both ids, those of a moment in one go."""
    return ReadTogether(database, repository.find_visible_together)


async def plainly_readable(request: Request, caller: Principal, task_id: UUID) -> RowMapping | None:
    """Load a task that the caller may see, past SQLAlchemy's execution, and together with what others read."""
    state = request.app.state
    if sight_of(caller) == WHOLE:
        together: TasksTogether = state.tasks_together
        return await together.ask((caller.user_id, task_id))
    async with reading_directly(state.database, bound_of(request)) as reader:
        return await repository.find_visible(reader, caller=caller, task_id=task_id)


async def locatable_task(named: NamedTask, caller: CurrentPrincipal, connection: PrimaryConnection) -> RowMapping:
    """Load a task that the caller may see, from the primary: a service asks once, and a replica may lag.

    Raises TaskNotFound.
    """
    return await _seen(connection, caller, named)


async def writable_task(request: Request, named: NamedTask, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a task for what the route's policy says, in the transaction of that.

    Raises TaskNotFound, Forbidden, ProjectArchived.
    """
    row = await _found(write, caller, named)
    require_policy(request, caller, held(caller, row))
    if row["is_archived"]:
        raise ProjectArchived
    return row


async def seen_task(named: NamedTask, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a task for a change whose policy is about more than the task; it has to be applied then.

    Raises TaskNotFound.
    """
    return await _found(write, caller, named)


async def deletable_task(
    request: Request,
    named: NamedTask,
    caller: CurrentPrincipal,
    write: Writing,
    *,
    permanent: Permanently = False,
) -> RowMapping:
    """Load a task to delete it, from the trash, too, when it is to go for good.

    Raises TaskNotFound, Forbidden, ProjectArchived.
    """
    row = await _found_anywhere(write, caller, named) if permanent else await _found(write, caller, named)
    require_policy(request, caller, held(caller, row))
    if permanent and not can(caller, "task.delete_permanently", held(caller, row)).allowed:
        raise Forbidden
    if row["is_archived"]:
        raise ProjectArchived
    return row


async def followed_task(request: Request, named: NamedTask, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a task for what concerns the caller alone, such as a star: archived projects have it, too.

    Raises TaskNotFound, Forbidden.
    """
    row = await _seen(write.session, caller, named)
    require_policy(request, caller, held(caller, row))
    return row


async def trashed_task(request: Request, named: NamedTask, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a task from the trash. Raises TaskNotFound, Forbidden, ProjectArchived."""
    row = await _found(write, caller, named, in_trash=True)
    require_policy(request, caller, held(caller, row))
    if row["is_archived"]:
        raise ProjectArchived
    return row


async def _seen(reader: repository.Reader, caller: Principal, named: Named) -> RowMapping:
    task_id, moved_from = await identified(reader, caller, named)
    row = await repository.find_visible(reader, caller=caller, task_id=task_id)
    return _with_former_key(row, moved_from)


async def _found(write: Write, caller: Principal, named: Named, *, in_trash: bool = False) -> RowMapping:
    task_id, moved_from = await identified(write.session, caller, named, in_trash=in_trash)
    row = await repository.find_writable(write.session, caller=caller, task_id=task_id, in_trash=in_trash)
    return _with_former_key(row, moved_from)


async def _found_anywhere(write: Write, caller: Principal, named: Named) -> RowMapping:
    try:
        return await _found(write, caller, named)
    except TaskNotFound:
        return await _found(write, caller, named, in_trash=True)


async def identified(
    reader: repository.Reader, caller: Principal, named: Named, *, in_trash: bool = False
) -> tuple[UUID, Key | None]:
    """Return the id of what is named, and the key if it is a former one. Raises TaskNotFound, AmbiguousKey."""
    if isinstance(named.name, UUID):
        return named.name, None
    found = await repository.find_by_key(
        reader, caller=caller, key=named.name, workspace_id=named.workspace_id, in_trash=in_trash
    )
    # What has the key now comes before what had it once.
    best = [one for one in found if not one["is_former"]] or found
    if not best:
        raise TaskNotFound
    if len(best) > 1:
        raise AmbiguousKey(field="workspace_id", data={"task_ids": [str(one["id"]) for one in best]})
    return best[0]["id"], named.name if best[0]["is_former"] else None


def _with_former_key(row: RowMapping | None, key: Key | None) -> RowMapping:
    if row is None:
        raise TaskNotFound
    return row if key is None else cast("RowMapping", {**row, "moved_from": str(key)})


ReadableTask = Annotated[RowMapping, Depends(readable_task, scope="function")]
LocatableTask = Annotated[RowMapping, Depends(locatable_task, scope="function")]
WritableTask = Annotated[RowMapping, Depends(writable_task, scope="function")]
SeenTask = Annotated[RowMapping, Depends(seen_task, scope="function")]
FollowedTask = Annotated[RowMapping, Depends(followed_task, scope="function")]
DeletableTask = Annotated[RowMapping, Depends(deletable_task, scope="function")]
TrashedTask = Annotated[RowMapping, Depends(trashed_task, scope="function")]
