from chassis.errors import Forbidden
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.blockers.errors import Blocked
from tasks_service.moving import service
from tasks_service.moving.errors import AnotherWorkspace, StatusUnmapped
from tasks_service.moving.schemas import TaskMove
from tasks_service.statuses.errors import StatusNotFound
from tasks_service.subtasks.errors import OpenSubtasks
from tasks_service.tasks.access import WritableTask
from tasks_service.tasks.endpoints import WRITING, WRITTEN, written
from tasks_service.tasks.errors import AmbiguousKey, ExternalIdTaken, ProjectNotFound, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut
from tasks_service.versions.access import Expecting

router = APIRouter(prefix="/api/v1/tasks/{task_id}/move", tags=["tasks"])


@router.post(
    "",
    summary="Move a task to another project",
    description=(
        "Moves the task with all below it to another project of its workspace, at the end of that, with another key; "
        "the former one still finds it. It has no parent afterwards, and subtasks stay below it. A status stays where "
        "the project has it, or becomes the first of the same category, unless `status_map` says another. Assignees "
        "who can't see a task there are dropped, with an `ASSIGNEE_DROPPED` in `meta.warnings` for each such task, and "
        "so are watchers and stars; comments, relations, shares, attachments and all else stay. It needs "
        "`project.create_task` in both projects: a share of the task is not enough. A move to another workspace is "
        "refused."
    ),
    response_model=Envelope[TaskOut],
    responses={
        200: example(
            {**TASK_EXAMPLE, "key": "ROAD-7", "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a07", "version": 2},
            description="The task where it is now.",
            headers=WRITTEN,
        ),
        **errors(
            TaskNotFound,
            AmbiguousKey,
            Forbidden,
            ProjectNotFound,
            AnotherWorkspace,
            StatusNotFound,
            StatusUnmapped,
            ExternalIdTaken,
            OpenSubtasks,
            Blocked,
            *WRITING,
        ),
    },
)
@scope("tasks:write")
@policy("task.move")
async def move_task(
    request: Request,
    task: WritableTask,
    body: TaskMove,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
) -> Response:
    row = await service.move_task(write.session, task=task, wanted=body, expected=expected, actor=caller)
    return await written(request, write, caller, row)
