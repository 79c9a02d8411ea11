from typing import Annotated
from uuid import UUID

from chassis.errors import Forbidden, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.preconditions import IfMatchMalformed
from chassis.web.replies import etag, reply
from chassis.web.routing import gives_name, policy, scope
from fastapi import Depends, Path, Query, Request, Response

from tasks_service.assignees.errors import AssigneeNoAccess
from tasks_service.blockers.errors import Blocked
from tasks_service.categories.errors import CategoryNotFound
from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.external_ids import repository, service
from tasks_service.external_ids.repository import Elsewhere
from tasks_service.includes.access import ChosenFields, Including
from tasks_service.includes.schemas import TaskShown, only
from tasks_service.includes.service import REGISTRY, shown
from tasks_service.labels.errors import LabelNotFound
from tasks_service.projects.errors import ProjectArchived
from tasks_service.statuses.errors import StatusNotFound
from tasks_service.subtasks.errors import OpenSubtasks
from tasks_service.tasks.endpoints import ETAG, STALE, TREE, WRITTEN, written
from tasks_service.tasks.errors import DatesOutOfOrder, ProjectNotFound, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, ExternalId, ExternalSource, TaskOut, TaskUpsert
from tasks_service.versions.access import Expecting

router = APIRouter(prefix="/api/v1/tasks/by-external", tags=["tasks"])

EXTERNAL_EXAMPLE = {**TASK_EXAMPLE, "external_source": "jira", "external_id": "10042"}


async def elsewhere(
    source: Annotated[ExternalSource, Path(description="The other system.", examples=["jira"])],
    external_id: Annotated[ExternalId, Path(description="The task's id there.", examples=["10042"])],
) -> Elsewhere:
    """Return what the path names."""
    return Elsewhere(source, external_id)


NamedElsewhere = Annotated[Elsewhere, Depends(elsewhere)]


@router.put(
    "/{source}/{external_id}",
    summary="Create or update a task by its external id",
    description=(
        "Makes the task that another system calls so, in the project or in your Inbox, or brings it up to date: fields "
        "that are there are set, and what is absent is left as it is (a new task gets the defaults). Safe to repeat, "
        "and to send many times at once: there is one task, and what changes nothing gives no new version. It needs no "
        "`If-Match`; with one, nothing is made or changed unless the task is there and at that version. A task in the "
        "trash is left there, and a new one is made."
    ),
    response_model=Envelope[TaskOut],
    responses={
        200: example(EXTERNAL_EXAMPLE, description="The task was there.", headers=WRITTEN),
        201: {
            "model": Envelope[TaskOut],
            **example(
                EXTERNAL_EXAMPLE,
                description="The task is new.",
                headers={**WRITTEN, "Location": "Path of the new task."},
            ),
        },
        **errors(
            ProjectNotFound,
            StatusNotFound,
            CategoryNotFound,
            LabelNotFound,
            DatesOutOfOrder,
            AssigneeNoAccess,
            Forbidden,
            ProjectArchived,
            *TREE,
            OpenSubtasks,
            Blocked,
            TaskNotFound,
            STALE,
            IfMatchMalformed,
        ),
    },
)
@gives_name("source", "external_id")
@scope("tasks:write")
@policy("project.create_task")
async def put_task_by_external_id(
    request: Request,
    named: NamedElsewhere,
    body: TaskUpsert,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
) -> Response:
    row, is_new = await service.put_task(write.session, elsewhere=named, wanted=body, actor=caller, expected=expected)
    if is_new:
        location = {"location": f"/api/v1/tasks/{row['id']}"}
        return await written(request, write, caller, row, status=201, headers=location)
    return await written(request, write, caller, row)


@router.get(
    "/{source}/{external_id}",
    summary="Read a task by its external id",
    description=(
        "The task that another system calls so, in the project, or in your Inbox when none is named. Its ETag goes "
        "into `If-Match` of a change. The answer is never 304, since another task can be called so later. With "
        "`fields` the others are left out."
    ),
    response_model=Envelope[TaskShown],
    responses={
        200: example(EXTERNAL_EXAMPLE, description="The task.", headers=ETAG),
        **errors(TaskNotFound, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def read_task_by_external_id(
    named: NamedElsewhere,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    include: Including,
    fields: ChosenFields,
    project_id: Annotated[UUID | None, Query(description="The project; your Inbox when absent.")] = None,
) -> Response:
    row = await repository.find_visible(connection, caller=caller, elsewhere=named, project_id=project_id)
    if row is None:
        raise TaskNotFound
    tasks = await shown(connection, [row], caller, include)
    [view] = only(tasks, fields, [REGISTRY[name].field for name in include])
    return reply(view, headers={"etag": etag(row["version"])})
