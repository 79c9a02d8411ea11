from typing import Annotated
from uuid import UUID

from chassis.errors import Forbidden, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response

from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.tasks.access import TrashedTask
from tasks_service.tasks.endpoints import WRITING, WRITTEN, written
from tasks_service.tasks.errors import AmbiguousKey, ExternalIdTaken, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut
from tasks_service.trash import repository, service
from tasks_service.trash.schemas import TRASH_EXAMPLE, TrashEntry
from tasks_service.versions.access import Expecting

router = APIRouter(prefix="/api/v1/trash", tags=["trash"])
of_task = APIRouter(prefix="/api/v1/tasks/{task_id}/restore", tags=["trash"])


@router.get(
    "",
    summary="List the trash",
    description=(
        "Tasks and projects in the trash that you can see, the last deleted first. Tasks that went there with their "
        "parent are not listed by themselves, nor is what is in a project that is in the trash and that you see."
    ),
    response_model=PageEnvelope[TrashEntry],
    responses={
        200: page_example(TRASH_EXAMPLE, description="One page of the trash."),
        **errors(PageTooDeep, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_trash(
    request: Request,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: PagesQuery,
    workspace_id: Annotated[UUID | None, Query(description="Only this workspace.")] = None,
) -> Response:
    rows, total = await repository.list_visible(
        connection, caller, workspace_id=workspace_id, limit=paging.per_page, offset=paging.offset
    )
    return page_reply(request, [TrashEntry.of(row) for row in rows], paging, total)


@of_task.post(
    "",
    summary="Restore a task from the trash",
    description=(
        "Takes the task out of the trash with the subtasks that went there with it, its assignees, relations and all "
        "else. It has no parent when that is in the trash. Assignees who can't see it any more are dropped: "
        "`meta.warnings` has an `ASSIGNEE_DROPPED` for each."
    ),
    response_model=Envelope[TaskOut],
    responses={
        200: example({**TASK_EXAMPLE, "version": 3}, description="The task.", headers=WRITTEN),
        **errors(TaskNotFound, AmbiguousKey, Forbidden, ExternalIdTaken, *WRITING),
    },
)
@scope("tasks:write")
@policy("task.restore")
async def restore_task(
    request: Request, task: TrashedTask, caller: CurrentPrincipal, write: Writing, expected: Expecting
) -> Response:
    row, warnings = await service.restore_task(write.session, task=task, expected=expected, actor=caller)
    return await written(request, write, caller, row, meta={"warnings": warnings} if warnings else None)
