from chassis.errors import Forbidden
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.duplicating import service
from tasks_service.duplicating.errors import DatesOutOfRange, TreeTooLarge
from tasks_service.duplicating.schemas import TaskDuplicate
from tasks_service.moving.errors import AnotherWorkspace
from tasks_service.projects.errors import ProjectArchived
from tasks_service.relations.errors import TooManyRelations
from tasks_service.subtasks.errors import ParentNotFound, TooDeep
from tasks_service.tasks.access import SeenTask
from tasks_service.tasks.endpoints import WRITTEN, written
from tasks_service.tasks.errors import AmbiguousKey, ProjectNotFound, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut
from tasks_service.versions.errors import ResourceBusy

router = APIRouter(prefix="/api/v1/tasks/{task_id}/duplicate", tags=["tasks"])


@router.post(
    "",
    status_code=201,
    summary="Copy a task",
    description=(
        "Makes a new task of yours like this one: with its title, priority, category, dates, estimate, completion "
        "policy and custom values, and with what `include` names. Subtasks are copied with it at all levels, as far as "
        "you see them, up to 500 tasks in all; in its own project the copy has the same parent. Dates are later by "
        "`shift_dates`, whole days that keep the time of the day. Each task has the first status of its project unless "
        "`with_status` says otherwise, and items of checklists are open then. Relations between what is copied are "
        "between the copies; those to other tasks that you see are to these. Assignees who can't see the copy are "
        "dropped: `meta.warnings` has an `ASSIGNEE_DROPPED` for each such task. Comments, history, stars, watchers, "
        "shares, metadata and external ids are never copied; attachments are not copied yet."
    ),
    response_model=Envelope[TaskOut],
    responses={
        201: example(
            {
                **TASK_EXAMPLE,
                "id": "0199d3b2-7a57-7f0e-8f3a-1d1f6c0f5a14",
                "key": "INBOX-14",
                "title": "Buy oat milk",
                "due": {**TASK_EXAMPLE["due"], "date": "2026-12-08"},
                "position": "n0000000014V",
            },
            description="The copy.",
            headers={**WRITTEN, "Location": "Path of the new task."},
        ),
        **errors(
            TaskNotFound,
            AmbiguousKey,
            Forbidden,
            ProjectNotFound,
            ProjectArchived,
            AnotherWorkspace,
            TreeTooLarge,
            DatesOutOfRange,
            ParentNotFound,
            TooDeep,
            TooManyRelations,
            ResourceBusy,
        ),
    },
)
@scope("tasks:write")
@policy("project.create_task")
async def duplicate_task(
    request: Request, task: SeenTask, body: TaskDuplicate, caller: CurrentPrincipal, write: Writing
) -> Response:
    row = await service.duplicate_task(write.session, task=task, wanted=body, actor=caller)
    return await written(request, write, caller, row, status=201, headers={"location": f"/api/v1/tasks/{row['id']}"})
