from chassis.errors import Forbidden, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import WantsMinimal
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.path_ids import UserId
from tasks_service.projects.errors import ProjectArchived
from tasks_service.shares import repository, service
from tasks_service.shares.errors import ShareeNotFound
from tasks_service.shares.schemas import TASK_SHARE_OUT_EXAMPLE, TaskShareOut, TaskSharePut
from tasks_service.tasks.access import ReadableTask, WritableTask
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut

router = APIRouter(prefix="/api/v1/tasks/{task_id}/shares", tags=["shares"])
own = APIRouter(prefix="/api/v1/shared-with-me", tags=["shares"])

MISSING = (TaskNotFound, AmbiguousKey)


@router.get(
    "",
    summary="List whom a task is shared with",
    description="The oldest share first. Who sees the task by its project is not listed.",
    response_model=PageEnvelope[TaskShareOut],
    responses={
        200: page_example(TASK_SHARE_OUT_EXAMPLE, description="One page of shares."),
        **errors(*MISSING, PageTooDeep, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_shares(
    request: Request, task: ReadableTask, connection: FreshConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_of(connection, task["id"], limit=paging.per_page, offset=paging.offset)
    return page_reply(request, [TaskShareOut.of(row, task) for row in rows], paging, total)


@router.put(
    "/{user_id}",
    summary="Share a task",
    description=(
        "Shows the task to a member of its workspace, a guest above all, who sees nothing else of its project by that, "
        "and none of its subtasks; how far those are is told by the task's `progress`. The role counts where it is "
        "higher than the one in the project. Sent again it changes nothing, and the task stays as it is in any case."
    ),
    response_model=Envelope[TaskShareOut],
    responses={
        200: example(
            TASK_SHARE_OUT_EXAMPLE,
            description="The share.",
            headers={"ETag": "The share's version, in quotes.", **CURSOR},
        ),
        **errors(*MISSING, Forbidden, ShareeNotFound, ProjectArchived),
    },
)
@scope("tasks:write")
@policy("task.share")
async def put_share(
    request: Request,
    task: WritableTask,
    user_id: UserId,
    body: TaskSharePut,
    caller: CurrentPrincipal,
    write: Writing,
) -> Response:
    row = await service.put_share(write.session, task=task, user_id=user_id, role=body.role, actor=caller)
    return write.reply(TaskShareOut.of(row, task), headers=await written_headers(request, write, caller, row))


@router.delete(
    "/{user_id}",
    summary="Share a task no more",
    description=(
        "Who can't see it any more by that is no assignee of it any more, watches it no more, and loses star and "
        "labels on it. Where it was not shared nothing changes."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The task is not shared with the user.", headers=CURSOR),
        204: {"description": "The same; asked for with `Prefer: return=minimal`."},
        **errors(*MISSING, Forbidden, ProjectArchived),
    },
)
@scope("tasks:write")
@policy("task.share")
async def remove_share(
    request: Request,
    task: WritableTask,
    user_id: UserId,
    caller: CurrentPrincipal,
    write: Writing,
    minimal: WantsMinimal,
) -> Response:
    await service.end_share(write.session, task=task, user_id=user_id, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)


@own.get(
    "",
    summary="List the tasks that are shared with you",
    description="Those that are shared with you by name, the latest share first; not all that you see by a project.",
    response_model=PageEnvelope[TaskOut],
    responses={
        200: page_example(TASK_EXAMPLE, description="One page of tasks."),
        **errors(PageTooDeep, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_shared_with_me(
    request: Request, caller: CurrentPrincipal, connection: FreshConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_shared_with(connection, caller, limit=paging.per_page, offset=paging.offset)
    return page_reply(request, [TaskOut.of(row) for row in rows], paging, total)
