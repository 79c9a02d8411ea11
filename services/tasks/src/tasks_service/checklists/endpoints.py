from uuid import UUID

from chassis.errors import Forbidden, IfMatchRequired, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import enveloped, errors, example, stale
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply, unless_unchanged
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.assignees.errors import AssigneeNoAccess
from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.checklists import repository, service
from tasks_service.checklists.access import ReadableItem, WritableItem
from tasks_service.checklists.errors import ChecklistFull, ChecklistItemMissing, ChecklistItemNotFound
from tasks_service.checklists.schemas import (
    CHECKLIST_ITEM_EXAMPLE,
    ChecklistItemCreate,
    ChecklistItemOut,
    ChecklistItemPatch,
)
from tasks_service.projects.errors import ProjectArchived
from tasks_service.subtasks.errors import TooDeep
from tasks_service.tasks.access import ReadableTask, WritableTask
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut
from tasks_service.versions.access import Expecting, ExpectingFields
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict

router = APIRouter(prefix="/api/v1/tasks/{task_id}/checklist", tags=["checklists"])

ETAG = {"ETag": "The item's version, in quotes."}
WRITTEN = {**ETAG, **CURSOR}
STALE = stale(ResourceVersionConflict, CHECKLIST_ITEM_EXAMPLE, "text")
WRITING = (Forbidden, ProjectArchived, STALE, IfMatchMalformed, IfMatchRequired, ResourceBusy)
PROGRESS = {"done": 0, "total": 1}


@router.get(
    "",
    summary="Read the checklist of a task",
    description="All items in their order, 200 at most; `meta.progress` counts them.",
    response_model=Envelope[list[ChecklistItemOut]],
    responses={
        200: {
            "description": "The checklist.",
            "content": {"application/json": {"example": enveloped([CHECKLIST_ITEM_EXAMPLE], progress=PROGRESS)}},
        },
        **errors(TaskNotFound, AmbiguousKey, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_checklist(task: ReadableTask, caller: CurrentPrincipal, connection: FreshConnection) -> Response:
    rows = await repository.list_visible(connection, caller=caller, task_id=task["id"])
    progress = {"done": sum(row["done"] for row in rows), "total": len(rows)}
    return reply([ChecklistItemOut.of(row) for row in rows], meta={"progress": progress})


@router.post(
    "",
    status_code=201,
    summary="Add an item to a checklist",
    description="At the end, or with `after_id` or `before_id` beside another item.",
    response_model=Envelope[ChecklistItemOut],
    responses={
        201: example(
            CHECKLIST_ITEM_EXAMPLE,
            description="The new item.",
            headers={**WRITTEN, "Location": "Path of the new item."},
        ),
        **errors(
            TaskNotFound,
            AmbiguousKey,
            Forbidden,
            AssigneeNoAccess,
            ChecklistItemNotFound,
            ChecklistFull,
            ProjectArchived,
        ),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def add_checklist_item(
    request: Request, task: WritableTask, body: ChecklistItemCreate, caller: CurrentPrincipal, write: Writing
) -> Response:
    row = await service.add_item(write.session, task=task, wanted=body, actor=caller)
    headers = await written_headers(request, write, caller, row)
    headers["location"] = f"/api/v1/tasks/{row['task_id']}/checklist/{row['id']}"
    return write.reply(ChecklistItemOut.of(row), status=201, headers=headers)


@router.get(
    "/{item_id}",
    summary="Read an item of a checklist",
    description="One item by its id. Its ETag goes into `If-Match` of a change, or `If-None-Match` of the next read.",
    response_model=Envelope[ChecklistItemOut],
    responses={
        200: example(CHECKLIST_ITEM_EXAMPLE, description="The item.", headers=ETAG),
        304: {"description": "The item is still at the version in If-None-Match."},
        **errors(ChecklistItemMissing, AmbiguousKey, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def read_checklist_item(request: Request, item: ReadableItem) -> Response:
    return unless_unchanged(request, reply(ChecklistItemOut.of(item), headers={"etag": etag(item["version"])}))


@router.patch(
    "/{item_id}",
    summary="Change an item of a checklist",
    description=(
        "A JSON merge patch: absent fields keep their value, null clears. With `after_id` or `before_id` the item "
        "moves. A stale `If-Match` is refused with 412, naming the fields that others changed."
    ),
    response_model=Envelope[ChecklistItemOut],
    responses={
        200: example(
            {
                **CHECKLIST_ITEM_EXAMPLE,
                "done": True,
                "done_at": "2026-11-24T09:20:00Z",
                "done_by": CHECKLIST_ITEM_EXAMPLE["created_by"],
                "version": 2,
            },
            description="The item after the change.",
            headers=WRITTEN,
        ),
        **errors(ChecklistItemMissing, AmbiguousKey, AssigneeNoAccess, ChecklistItemNotFound, *WRITING),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def update_checklist_item(
    request: Request,
    task: WritableTask,
    item: WritableItem,
    body: ChecklistItemPatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectingFields,
) -> Response:
    row = await service.update_item(write.session, task=task, item=item, patch=body, expected=expected, actor=caller)
    return write.reply(ChecklistItemOut.of(row), headers=await written_headers(request, write, caller, row))


@router.delete(
    "/{item_id}",
    summary="Delete an item of a checklist",
    description="Deletes it for good. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The item is gone.", headers=CURSOR),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(ChecklistItemMissing, AmbiguousKey, *WRITING),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def delete_checklist_item(
    request: Request,
    item: WritableItem,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    await service.delete_item(write.session, item=item, expected=expected, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)


@router.post(
    "/{item_id}/convert",
    status_code=201,
    summary="Make a subtask of an item",
    description=(
        "The text becomes the title; the assignee and the due day stay, and what was done is done. The item goes. An "
        "assignee who can't see the task any more is left out, and stands in `meta.warnings` as `ASSIGNEE_DROPPED`."
    ),
    response_model=Envelope[TaskOut],
    responses={
        201: example(
            {**TASK_EXAMPLE, "parent_id": CHECKLIST_ITEM_EXAMPLE["task_id"]},
            description="The new subtask.",
            headers={**WRITTEN, "Location": "Path of the new task."},
        ),
        **errors(ChecklistItemMissing, AmbiguousKey, TooDeep, *WRITING),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def convert_checklist_item(
    request: Request,
    task: WritableTask,
    item: WritableItem,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
) -> Response:
    made = await service.convert_item(write.session, task=task, item=item, expected=expected, actor=caller)
    headers = {
        **await written_headers(request, write, caller, made.task),
        "location": f"/api/v1/tasks/{made.task['id']}",
    }
    return write.reply(TaskOut.of(made.task), status=201, meta=_warnings(made.dropped), headers=headers)


def _warnings(dropped: UUID | None) -> dict[str, object] | None:
    if dropped is None:
        return None
    message = "This assignee can't see the task any more and was left out."
    return {"warnings": [{"code": "ASSIGNEE_DROPPED", "message": message, "user_ids": [str(dropped)]}]}
