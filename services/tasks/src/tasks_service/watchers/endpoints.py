from chassis.errors import Forbidden, InvalidCursor, TokenRestricted
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import WantsMinimal
from chassis.web.replies import reply
from chassis.web.routing import no_policy, policy, scope
from fastapi import Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.path_ids import UserId
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks.access import FollowedTask, ReadableTask
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.watchers import repository, service
from tasks_service.watchers.errors import WatcherMissing, WatcherNoAccess
from tasks_service.watchers.schemas import (
    WATCH_RULES_EXAMPLE,
    WATCHER_OUT_EXAMPLE,
    WATCHING_EXAMPLE,
    WatcherAdd,
    WatcherOut,
    Watching,
    WatchRules,
)

router = APIRouter(prefix="/api/v1/tasks/{task_id}/watchers", tags=["watchers"])
own = APIRouter(prefix="/api/v1/users/me/watch-rules", tags=["watchers"])

MISSING = (TaskNotFound, AmbiguousKey)


@router.get(
    "",
    summary="List the watchers of a task",
    description="Who hears of it, the first ones first.",
    response_model=PageEnvelope[WatcherOut],
    responses={
        200: page_example(WATCHER_OUT_EXAMPLE, description="One page of watchers."),
        **errors(*MISSING, PageTooDeep, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_watchers(
    request: Request, task: ReadableTask, caller: CurrentPrincipal, connection: FreshConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_of(connection, task["id"], limit=paging.per_page, offset=paging.offset)
    return page_reply(request, [WatcherOut.of(row, task, caller_id=caller.user_id) for row in rows], paging, total)


@router.post(
    "",
    status_code=201,
    summary="Watch a task",
    description=(
        "For yourself, or by who may edit the task for somebody who can see it. Who watches it already goes on doing "
        "so: 200. The task stays as it is, at the version that it has."
    ),
    response_model=Envelope[WatcherOut],
    responses={
        200: {
            "model": Envelope[WatcherOut],
            **example(WATCHER_OUT_EXAMPLE, description="The watcher, who was one already.", headers=CURSOR),
        },
        201: example(
            WATCHER_OUT_EXAMPLE,
            description="The new watcher.",
            headers={**CURSOR, "Location": "Path of the watcher."},
        ),
        **errors(*MISSING, Forbidden, WatcherNoAccess, ProjectArchived),
    },
)
@scope("tasks:write")
@policy("task.follow")
async def add_watcher(
    request: Request, task: FollowedTask, body: WatcherAdd, caller: CurrentPrincipal, write: Writing
) -> Response:
    row, is_new = await service.watch(write.session, task=task, user_id=body.user_id, actor=caller)
    headers = await cursor_header(request, write, caller)
    if is_new:
        headers["location"] = f"/api/v1/tasks/{task['id']}/watchers/{body.user_id}"
    shown = WatcherOut.of(row, task, caller_id=caller.user_id)
    return write.reply(shown, status=201 if is_new else 200, headers=headers)


@router.put(
    "/mute",
    summary="Mute a task",
    description=(
        "You hear nothing of it, whether you watch it, do it or are mentioned in it, and no rule of yours makes you "
        "watch it. Nobody else is told."
    ),
    response_model=Envelope[Watching],
    responses={
        200: example(WATCHING_EXAMPLE, description="How you watch the task.", headers=CURSOR),
        **errors(*MISSING, Forbidden),
    },
)
@scope("tasks:write")
@policy("task.follow")
async def mute_task(request: Request, task: FollowedTask, caller: CurrentPrincipal, write: Writing) -> Response:
    row = await service.mute(write.session, task=task, actor=caller)
    return write.reply(Watching.of(row, task), headers=await cursor_header(request, write, caller))


@router.delete(
    "/mute",
    summary="Hear of a task again",
    description="Takes your muting of the task back; without one nothing changes.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The task is not muted.", headers=CURSOR),
        204: {"description": "The same; asked for with `Prefer: return=minimal`."},
        **errors(*MISSING, Forbidden),
    },
)
@scope("tasks:write")
@policy("task.follow")
async def unmute_task(
    request: Request, task: FollowedTask, caller: CurrentPrincipal, write: Writing, minimal: WantsMinimal
) -> Response:
    await service.unmute(write.session, task=task, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)


@router.get(
    "/{user_id}",
    summary="Read a watcher of a task",
    description="One who hears of it.",
    response_model=Envelope[WatcherOut],
    responses={
        200: example(WATCHER_OUT_EXAMPLE, description="The watcher."),
        **errors(WatcherMissing, AmbiguousKey, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def read_watcher(
    task: ReadableTask, user_id: UserId, caller: CurrentPrincipal, connection: FreshConnection
) -> Response:
    row = await repository.find_watching(connection, task_id=task["id"], user_id=user_id)
    if row is None:
        raise WatcherMissing
    return reply(WatcherOut.of(row, task, caller_id=caller.user_id))


@router.delete(
    "/{user_id}",
    summary="Stop watching a task",
    description=(
        "For yourself, or for others by who may edit the task. No rule begins it again. Who does not watch it stays "
        "as they are."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The user does not watch the task.", headers=CURSOR),
        204: {"description": "The same; asked for with `Prefer: return=minimal`."},
        **errors(*MISSING, Forbidden, ProjectArchived),
    },
)
@scope("tasks:write")
@policy("task.follow")
async def remove_watcher(
    request: Request,
    task: FollowedTask,
    user_id: UserId,
    caller: CurrentPrincipal,
    write: Writing,
    minimal: WantsMinimal,
) -> Response:
    await service.unwatch(write.session, task=task, user_id=user_id, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)


@own.get(
    "",
    summary="Read what makes you watch tasks",
    description=(
        "Whether making a task, being assigned to it, being mentioned in it or commenting on it does. All do until you "
        "say otherwise."
    ),
    response_model=Envelope[WatchRules],
    responses={200: example(WATCH_RULES_EXAMPLE, description="Your rules."), **errors(NotYetConsistent, InvalidCursor)},
)
@scope("tasks:read")
@no_policy("shows the caller's own rules")
async def read_watch_rules(caller: CurrentPrincipal, connection: FreshConnection) -> Response:
    row = await repository.find_rules(connection, caller.user_id)
    return reply(WatchRules() if row is None else WatchRules.model_validate(dict(row)))


@own.put(
    "",
    summary="Say what makes you watch tasks",
    description=(
        "Replaces your rules; what is absent is true. It is about what happens from now on: what you watch already "
        "stays. An API token that is restricted to a part can't."
    ),
    response_model=Envelope[WatchRules],
    responses={
        200: example(WATCH_RULES_EXAMPLE, description="Your rules."),
        **errors(TokenRestricted),
    },
)
@scope("tasks:write")
@no_policy("changes the caller's own rules")
async def replace_watch_rules(body: WatchRules, caller: CurrentPrincipal, write: Writing) -> Response:
    if caller.is_restricted:
        raise TokenRestricted
    await repository.put_rules(write.session, caller.user_id, body.model_dump())
    return write.reply(body)
