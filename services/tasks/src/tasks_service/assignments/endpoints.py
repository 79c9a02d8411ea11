from chassis.errors import Forbidden, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.database import Write, Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.preconditions import WantsMinimal
from chassis.web.replies import reply
from chassis.web.routing import policy, scope
from fastapi import Request, Response
from sqlalchemy import RowMapping

from tasks_service.assignees import repository
from tasks_service.assignees.errors import AssigneeMissing, AssigneeNoAccess, TooManyAssignees
from tasks_service.assignees.schemas import (
    ASSIGNEE_OUT_EXAMPLE,
    AssigneeAdd,
    AssigneeOut,
    AssigneePatch,
    AssigneesPut,
    in_order,
)
from tasks_service.assignments import service
from tasks_service.assignments.access import AnswerableTask
from tasks_service.blockers.errors import Blocked
from tasks_service.changes.access import FreshConnection, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.path_ids import UserId
from tasks_service.projects.errors import ProjectArchived
from tasks_service.subtasks.errors import OpenSubtasks
from tasks_service.tasks.access import ReadableTask, WritableTask
from tasks_service.tasks.endpoints import WRITING, WRITTEN
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.versions.access import Expecting

router = APIRouter(prefix="/api/v1/tasks/{task_id}/assignees", tags=["assignees"])

ASSIGNING = (TaskNotFound, AmbiguousKey, Forbidden, AssigneeNoAccess, *WRITING)


@router.get(
    "",
    summary="List the assignees of a task",
    description="Who is to do it, the primary one first, with what they have said of it; at most 20.",
    response_model=Envelope[list[AssigneeOut]],
    responses={
        200: example([ASSIGNEE_OUT_EXAMPLE], description="The assignees."),
        **errors(TaskNotFound, AmbiguousKey, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_assignees(task: ReadableTask, connection: FreshConnection) -> Response:
    return reply(in_order(await repository.list_of(connection, [task["id"]]), task))


@router.put(
    "",
    summary="Replace the assignees of a task",
    description=(
        "Gives the task to these users and to nobody else, the first one being the primary one (`assigned_to`). Who "
        "stays keeps what they have said. Each has to see the task. With `If-Match`, the task's ETag, a change that "
        "was made for an older state is refused. Taking somebody away may complete the task, when all others are done; "
        "one more opens a completed task of policy `all` again if its `reopen_on_assign` says so."
    ),
    response_model=Envelope[list[AssigneeOut]],
    responses={
        200: example([ASSIGNEE_OUT_EXAMPLE], description="The assignees.", headers=WRITTEN),
        **errors(*ASSIGNING),
    },
)
@scope("tasks:write")
@policy("task.assign")
async def replace_assignees(
    request: Request,
    task: WritableTask,
    body: AssigneesPut,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
) -> Response:
    row = await service.assign_all(write.session, task=task, user_ids=body.user_ids, expected=expected, actor=caller)
    return write.reply(await _assignees(write, row), headers=await written_headers(request, write, caller, row))


@router.post(
    "",
    status_code=201,
    summary="Add an assignee to a task",
    description="One more who is to do the task, and has to see it. Who is an assignee already stays as they are: 200.",
    response_model=Envelope[AssigneeOut],
    responses={
        200: {
            "model": Envelope[AssigneeOut],
            **example(ASSIGNEE_OUT_EXAMPLE, description="The assignee, who was one already.", headers=WRITTEN),
        },
        201: example(
            ASSIGNEE_OUT_EXAMPLE,
            description="The new assignee.",
            headers={**WRITTEN, "Location": "Path of the assignee."},
        ),
        **errors(*ASSIGNING, TooManyAssignees),
    },
)
@scope("tasks:write")
@policy("task.assign")
async def add_assignee(
    request: Request,
    task: WritableTask,
    body: AssigneeAdd,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
) -> Response:
    row, is_new = await service.assign_more(
        write.session, task=task, user_ids=[body.user_id], expected=expected, actor=caller, field="user_id"
    )
    headers = await written_headers(request, write, caller, row)
    if is_new:
        headers["location"] = f"/api/v1/tasks/{row['id']}/assignees/{body.user_id}"
    shown = next(one for one in await _assignees(write, row) if one.user_id == body.user_id)
    return write.reply(shown, status=201 if is_new else 200, headers=headers)


@router.get(
    "/{user_id}",
    summary="Read an assignee of a task",
    description="One who is to do it, with what they have said of it.",
    response_model=Envelope[AssigneeOut],
    responses={
        200: example(ASSIGNEE_OUT_EXAMPLE, description="The assignee."),
        **errors(AssigneeMissing, AmbiguousKey, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def read_assignee(task: ReadableTask, user_id: UserId, connection: FreshConnection) -> Response:
    for one in in_order(await repository.list_of(connection, [task["id"]]), task):
        if one.user_id == user_id:
            return reply(one)
    raise AssigneeMissing


@router.patch(
    "/{user_id}",
    summary="Answer as an assignee",
    description=(
        "What an assignee says of the task: `pending`, `done` or `declined`; for oneself, or for others by who may "
        "edit the task. The task is completed by its `completion_policy`: `any` when one is done, `all` when all are "
        "who did not decline, `quorum:<n>` when n are, which never happens with fewer assignees. It gets the first "
        "status of the category `done`, and what refuses that refuses the answer. Completing a task otherwise leaves "
        "the answers as they are; opening it again by its status makes those `pending` that were `done`. An answer "
        "has no version, so that `If-Match` does not matter."
    ),
    response_model=Envelope[AssigneeOut],
    responses={
        200: example({**ASSIGNEE_OUT_EXAMPLE, "state": "done"}, description="The assignee.", headers=WRITTEN),
        **errors(TaskNotFound, AmbiguousKey, AssigneeMissing, Forbidden, ProjectArchived, OpenSubtasks, Blocked),
    },
)
@scope("tasks:write")
@policy("task.answer")
async def update_assignee(
    request: Request,
    task: AnswerableTask,
    user_id: UserId,
    body: AssigneePatch,
    caller: CurrentPrincipal,
    write: Writing,
) -> Response:
    row = await service.answer(write.session, task=task, user_id=user_id, state=body.state, actor=caller)
    shown = next(one for one in await _assignees(write, row) if one.user_id == user_id)
    return write.reply(shown, headers=await written_headers(request, write, caller, row))


@router.delete(
    "/{user_id}",
    summary="Take an assignee off a task",
    description=(
        "The next assignee becomes the primary one. Nothing changes for who is no assignee. It may complete the task, "
        "when all others are done."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The user is no assignee.", headers=WRITTEN),
        204: {"description": "The same; asked for with `Prefer: return=minimal`."},
        **errors(TaskNotFound, AmbiguousKey, Forbidden, *WRITING),
    },
)
@scope("tasks:write")
@policy("task.assign")
async def remove_assignee(
    request: Request,
    task: WritableTask,
    user_id: UserId,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    row = await service.unassign(write.session, task=task, user_ids=[user_id], expected=expected, actor=caller)
    headers = await written_headers(request, write, caller, row)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)


async def _assignees(write: Write, task: RowMapping) -> list[AssigneeOut]:
    return in_order(await repository.list_of(write.session, [task["id"]]), task)
