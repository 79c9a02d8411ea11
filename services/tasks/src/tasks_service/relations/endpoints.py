from chassis.errors import Forbidden
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.preconditions import WantsMinimal
from chassis.web.replies import reply
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.path_ids import RelationId
from tasks_service.projects.errors import ProjectArchived
from tasks_service.relations import repository, service
from tasks_service.relations.errors import (
    RelatedTaskNotFound,
    RelationCycle,
    RelationMissing,
    SelfRelation,
    TooManyRelations,
)
from tasks_service.relations.schemas import RELATION_EXAMPLE, RelationCreate, RelationOut
from tasks_service.tasks.access import ReadableTask, WritableTask
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound

router = APIRouter(prefix="/api/v1/tasks/{task_id}/relations", tags=["relations"])

WRITING = (TaskNotFound, AmbiguousKey, Forbidden, ProjectArchived)


@router.get(
    "",
    summary="List the relations of a task",
    description=(
        "All of them, the oldest first, as this task sees them: what is `blocks` at one end is `blocked_by` at the "
        "other. Relations to tasks that you do not see, or that are in the trash, are left out."
    ),
    response_model=Envelope[list[RelationOut]],
    responses={
        200: example([RELATION_EXAMPLE], description="The relations."),
        **errors(TaskNotFound, AmbiguousKey, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_relations(task: ReadableTask, caller: CurrentPrincipal, connection: FreshConnection) -> Response:
    found = await repository.list_of(connection, caller=caller, task_id=task["id"])
    return reply([RelationOut.of(row, other, task_id=task["id"]) for row, other in found])


@router.post(
    "",
    status_code=201,
    summary="Relate a task to another",
    description=(
        "Needs the right to change this task, and to see the other one; to block that, it has to be yours to change, "
        "too. It is one relation, whichever end names it: "
        "the same again is answered with 200. What blocks or precedes never goes in a circle."
    ),
    response_model=Envelope[RelationOut],
    responses={
        201: example(
            RELATION_EXAMPLE,
            description="The new relation.",
            headers={**CURSOR, "Location": "Path of the new relation, seen from this task."},
        ),
        200: {
            "model": Envelope[RelationOut],
            **example(RELATION_EXAMPLE, description="The relation was there.", headers=CURSOR),
        },
        **errors(RelatedTaskNotFound, SelfRelation, RelationCycle, TooManyRelations, *WRITING),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def create_relation(
    request: Request, task: WritableTask, body: RelationCreate, caller: CurrentPrincipal, write: Writing
) -> Response:
    relation, is_new = await service.add_relation(write.session, task=task, wanted=body, actor=caller)
    headers = await cursor_header(request, write, caller)
    if is_new:
        headers["location"] = f"/api/v1/tasks/{task['id']}/relations/{relation.id}"
    return write.reply(relation, status=201 if is_new else 200, headers=headers)


@router.get(
    "/{relation_id}",
    summary="Read a relation of a task",
    description="One relation, as this task sees it, for who sees the other one, too.",
    response_model=Envelope[RelationOut],
    responses={
        200: example(RELATION_EXAMPLE, description="The relation."),
        **errors(RelationMissing, AmbiguousKey, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("task.read")
async def read_relation(
    task: ReadableTask, relation_id: RelationId, caller: CurrentPrincipal, connection: FreshConnection
) -> Response:
    found = await repository.list_of(connection, caller=caller, task_id=task["id"], relation_id=relation_id)
    if not found:
        raise RelationMissing
    [(row, other)] = found
    return reply(RelationOut.of(row, other, task_id=task["id"]))


@router.delete(
    "/{relation_id}",
    summary="Delete a relation",
    description="From either end, for whoever may change the task there. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The relation is gone.", headers=CURSOR),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(RelationMissing, *WRITING),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def delete_relation(
    request: Request,
    task: WritableTask,
    relation_id: RelationId,
    caller: CurrentPrincipal,
    write: Writing,
    minimal: WantsMinimal,
) -> Response:
    await service.remove_relation(write.session, task=task, relation_id=relation_id, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)
