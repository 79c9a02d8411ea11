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

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.stars import repository, service
from tasks_service.stars.schemas import STAR_EXAMPLE, StarOut
from tasks_service.tasks.access import FollowedTask
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut

router = APIRouter(prefix="/api/v1/tasks/{task_id}/star", tags=["stars"])
own = APIRouter(prefix="/api/v1/starred", tags=["stars"])

ERRORS = errors(TaskNotFound, AmbiguousKey, Forbidden)


@router.put(
    "",
    summary="Star a task",
    description="Puts the task among your `starred` ones; nobody else is told, and the task stays as it is.",
    response_model=Envelope[StarOut],
    responses={200: example(STAR_EXAMPLE, description="Your star.", headers=CURSOR), **ERRORS},
)
@scope("tasks:write")
@policy("task.follow")
async def star_task(request: Request, task: FollowedTask, caller: CurrentPrincipal, write: Writing) -> Response:
    row = await service.star(write.session, task=task, actor=caller)
    return write.reply(StarOut.of(row, task), headers=await cursor_header(request, write, caller))


@router.delete(
    "",
    summary="Take your star away from a task",
    description="A task without one stays as it is.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The task has no star of yours.", headers=CURSOR),
        204: {"description": "The same; asked for with `Prefer: return=minimal`."},
        **ERRORS,
    },
)
@scope("tasks:write")
@policy("task.follow")
async def unstar_task(
    request: Request, task: FollowedTask, caller: CurrentPrincipal, write: Writing, minimal: WantsMinimal
) -> Response:
    await service.unstar(write.session, task=task, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)


@own.get(
    "",
    summary="List your starred tasks",
    description="Those that you can see, the latest star first.",
    response_model=PageEnvelope[TaskOut],
    responses={
        200: page_example(TASK_EXAMPLE, description="One page of tasks."),
        **errors(PageTooDeep, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_starred(
    request: Request, caller: CurrentPrincipal, connection: FreshConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_starred(connection, caller, limit=paging.per_page, offset=paging.offset)
    return page_reply(request, [TaskOut.of(row) for row in rows], paging, total)
