from chassis.errors import Forbidden, IfMatchRequired
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.preconditions import IfMatchMalformed
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.blockers.access import Forcing
from tasks_service.blockers.errors import Blocked
from tasks_service.projects.errors import ProjectArchived
from tasks_service.reverting import service
from tasks_service.reverting.errors import RevertConflict, VersionNotFound
from tasks_service.reverting.schemas import TaskRevert
from tasks_service.subtasks.errors import OpenSubtasks
from tasks_service.tasks.access import WritableTask
from tasks_service.tasks.endpoints import STALE, WRITTEN, OpenChildren, written
from tasks_service.tasks.errors import AmbiguousKey, DatesOutOfOrder, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut
from tasks_service.versions.access import Expecting
from tasks_service.versions.errors import ResourceBusy

router = APIRouter(prefix="/api/v1/tasks/{task_id}/revert", tags=["history"])


@router.post(
    "",
    summary="Revert a task to a former version",
    description=(
        "Makes the task what it was at that version, as a new version; nothing of the history is lost. What it says of "
        "itself comes back: title, description, status, priority, dates, estimate, completion policy, custom values, "
        "category, labels and assignees. Its project, parent, place and number stay, and so does all that hangs on "
        "it. Labels, a category and assignees that are gone are left out, and `meta.warnings` tells of each. "
        "What is so already is answered as it is, without a new version. The rules of any change hold."
    ),
    response_model=Envelope[TaskOut],
    responses={
        200: example({**TASK_EXAMPLE, "version": 5}, description="The task after it.", headers=WRITTEN),
        **errors(
            TaskNotFound,
            AmbiguousKey,
            Forbidden,
            VersionNotFound,
            RevertConflict,
            DatesOutOfOrder,
            OpenSubtasks,
            Blocked,
            ProjectArchived,
            STALE,
            IfMatchMalformed,
            IfMatchRequired,
            ResourceBusy,
        ),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def revert_task(
    request: Request,
    task: WritableTask,
    body: TaskRevert,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    children: OpenChildren = "fail",
    *,
    force: Forcing = False,
) -> Response:
    wanted = service.Revert(body.to_version, expected, children, force)
    row = await service.revert_task(write.session, task=task, wanted=wanted, actor=caller)
    return await written(request, write, caller, row)
