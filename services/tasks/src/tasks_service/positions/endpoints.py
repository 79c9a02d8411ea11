from chassis.errors import Forbidden
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.positions import service
from tasks_service.positions.errors import NeighborNotFound, NoRoomLeft
from tasks_service.positions.schemas import Placement
from tasks_service.tasks.access import WritableTask
from tasks_service.tasks.endpoints import WRITING, WRITTEN, written
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut
from tasks_service.versions.access import Expecting

router = APIRouter(prefix="/api/v1/tasks/{task_id}/position", tags=["tasks"])


@router.post(
    "",
    summary="Move a task within its project's order",
    description=(
        "Puts the task right after, or right before, another task of its project. Only this task changes: sort a "
        "project's tasks by `position`, compared as bytes."
    ),
    response_model=Envelope[TaskOut],
    responses={
        200: example(
            {**TASK_EXAMPLE, "position": "n0000000007Va0", "version": 2},
            description="The task at its place.",
            headers=WRITTEN,
        ),
        **errors(TaskNotFound, AmbiguousKey, Forbidden, NeighborNotFound, NoRoomLeft, *WRITING),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def place_task(
    request: Request,
    task: WritableTask,
    body: Placement,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
) -> Response:
    row = await service.place_task(write.session, task=task, wanted=body, expected=expected, actor=caller)
    return await written(request, write, caller, row)
