from typing import Annotated, Any
from uuid import UUID

from chassis.errors import Forbidden, IfMatchRequired, InvalidCursor, NotFound
from chassis.identity import Principal
from chassis.web.app import APIRouter
from chassis.web.constructing import WrittenJson
from chassis.web.database import Write, Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import bare_example, errors, example, stale
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal, expected_version
from chassis.web.replies import etag, reply, unless_unchanged
from chassis.web.routing import any_credential, policy, scope
from chassis.web.shortcuts import Shortcut
from chassis.web.write_shortcuts import WriteShortcut
from fastapi import Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import RowMapping

from tasks_service.assignees.errors import AssigneeNoAccess
from tasks_service.blockers.access import Forcing
from tasks_service.blockers.errors import Blocked
from tasks_service.categories.errors import CategoryNotFound
from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.includes.access import ChosenFields, Including
from tasks_service.includes.schemas import TaskShown, only
from tasks_service.includes.service import REGISTRY, shown
from tasks_service.labels.errors import LabelNotFound
from tasks_service.permissions.policies import role_allows
from tasks_service.projects.errors import ProjectArchived
from tasks_service.statuses.errors import StatusNotFound
from tasks_service.subtasks.errors import Cycle, OpenSubtasks, ParentNotFound, TooDeep
from tasks_service.subtasks.rules import Children
from tasks_service.tasks import service
from tasks_service.tasks.access import (
    DeletableTask,
    LocatableTask,
    Named,
    Permanently,
    ReadableTask,
    WritableTask,
    plainly_readable,
    writable_task,
)
from tasks_service.tasks.errors import (
    AmbiguousKey,
    CustomTooLong,
    DatesOutOfOrder,
    ExternalIdTaken,
    ProjectNotFound,
    TaskNotFound,
)
from tasks_service.tasks.schemas import (
    LOCATION_EXAMPLE,
    TASK_EXAMPLE,
    TaskCreate,
    TaskLocation,
    TaskOut,
    TaskPatch,
    TaskReplacement,
    written_task,
)
from tasks_service.trash.service import purge_task
from tasks_service.versions.access import Expecting, ExpectingAlways, ExpectingFields, mergeable_expectation
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])
internal = APIRouter(prefix="/internal/tasks", tags=["internal"])

ETAG = {"ETag": "The task's version, in quotes."}
STALE = stale(ResourceVersionConflict, TASK_EXAMPLE, "title")
WRITING = (ProjectArchived, STALE, IfMatchMalformed, IfMatchRequired, ResourceBusy)
TREE = (ParentNotFound, Cycle, TooDeep)
OpenChildren = Annotated[
    Children,
    Query(
        description=(
            "What becomes of open subtasks, at all levels, when this completes the task: with `fail` nothing is "
            "changed and they are told, `complete` completes them, too, and `leave` leaves them open. Cancelling a "
            "task leaves them."
        )
    ),
]
WRITTEN = {**ETAG, **CURSOR}


@router.post(
    "",
    status_code=201,
    summary="Create a task",
    description=(
        "Only `title` is needed: without `project_id` the task goes to the project of its `parent_id`, or else to the "
        "Inbox of your personal workspace, which exists from the first moment."
    ),
    response_model=Envelope[TaskOut],
    responses={
        201: example(
            TASK_EXAMPLE,
            description="The new task.",
            headers={**WRITTEN, "Location": "Path of the new task."},
        ),
        **errors(
            ProjectNotFound,
            StatusNotFound,
            CategoryNotFound,
            LabelNotFound,
            DatesOutOfOrder,
            AssigneeNoAccess,
            Forbidden,
            ProjectArchived,
            ExternalIdTaken,
            *TREE,
            NotFound,
        ),
    },
)
@scope("tasks:write")
@policy("project.create_task")
async def create_task(request: Request, body: TaskCreate, caller: CurrentPrincipal, write: Writing) -> Response:
    row = await service.create_task(write.session, wanted=body, actor=caller)
    return await written(request, write, caller, row, status=201, headers={"location": f"/api/v1/tasks/{row['id']}"})


def names_nothing_but_a_project(wanted: TaskCreate) -> bool:
    """Tell whether a new task names nothing, beside its project, that has to be there."""
    named = wanted.parent_id, wanted.category_id, wanted.external_id
    return not (any(named) or wanted.labels or wanted.assignees)


CREATE_SHORTCUT = WriteShortcut(create_task, TaskCreate, names_nothing_but_a_project, create_task)


@router.get(
    "/{task_id}",
    summary="Read a task",
    description=(
        "One task by its id, or by its key in any case, such as `PROJ-12`. A key that it had before it moved, or "
        "before its project got another prefix, names it, too: `meta.moved_from` is that key. Its ETag goes into "
        "`If-Match` of a change, or `If-None-Match` of the next read. It is of the task alone: with `include` the "
        "answer is never 304, since what you may do, and how labels are called, can change without the task; nor is it "
        "for a task that had another key, since its project decides that. With `fields` the "
        "others are left out, and the tag is the same: what is shown is of that version, too."
    ),
    response_model=Envelope[TaskShown],
    responses={
        200: example(TASK_EXAMPLE, description="The task.", headers=ETAG),
        304: {"description": "The task is still at the version in If-None-Match."},
        **errors(TaskNotFound, AmbiguousKey, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def read_task(
    request: Request,
    task: ReadableTask,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    include: Including,
    fields: ChosenFields,
) -> Response:
    tasks = await shown(connection, [task], caller, include)
    [view] = only(tasks, fields, [REGISTRY[name].field for name in include])
    answer = _read(task, view)
    return answer if include or task["had_another_key"] else unless_unchanged(request, answer)


async def read_plainly(request: Request, caller: Principal, task_id: UUID) -> Response | None:
    """Answer as read_task does for an id and nothing else; None where there is no such task for the caller."""
    task = await plainly_readable(request, caller, task_id)
    if task is None:
        return None
    answer = _read(task, written_task(task))
    return answer if task["had_another_key"] else unless_unchanged(request, answer)


def _read(task: RowMapping, view: BaseModel | WrittenJson) -> Response:
    return reply(view, meta=_meta(task), headers={"etag": etag(task["version"])})


SHORTCUT = Shortcut(read_task, read_plainly, other_forms=frozenset({b"x-min-cursor"}))


@router.patch(
    "/{task_id}",
    summary="Change a task",
    description=(
        "A JSON merge patch: absent fields keep their value, null clears, `{}` changes nothing. With `If-Match` a "
        "stale change is refused with 412, naming the fields that others changed; without it the last write wins, "
        "field by field."
    ),
    response_model=Envelope[TaskOut],
    responses={
        200: example(
            {**TASK_EXAMPLE, "status": "in_progress", "status_category": "in_progress", "version": 2},
            description="The task after the change.",
            headers=WRITTEN,
        ),
        **errors(
            TaskNotFound,
            AmbiguousKey,
            Forbidden,
            StatusNotFound,
            CategoryNotFound,
            LabelNotFound,
            DatesOutOfOrder,
            CustomTooLong,
            AssigneeNoAccess,
            *TREE,
            OpenSubtasks,
            Blocked,
            *WRITING,
        ),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def update_task(
    request: Request,
    task: WritableTask,
    body: TaskPatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectingFields,
    children: OpenChildren = "fail",
    *,
    force: Forcing = False,
) -> Response:
    row = await service.update_task(
        write.session,
        task=task,
        patch=body,
        expected=expected,
        actor=caller,
        children=children,
        force=force,
        merges=True,
    )
    return await written(request, write, caller, row)


async def update_plainly(request: Request, body: TaskPatch, caller: Principal, write: Write, task_id: UUID) -> Response:
    """Change a task as update_task does without parameters."""
    if_match = request.headers.get("if-match")
    task = await writable_task(request, Named(task_id, None), caller, write)
    expected = await mergeable_expectation(await expected_version(if_match), if_match)
    answer: Response = await update_task(request, task, body, caller, write, expected)
    return answer


def names_nothing_new(patch: TaskPatch) -> bool:
    """Tell whether a change names nothing that has to be there."""
    return patch.model_fields_set.isdisjoint({"parent_id", "category_id", "labels", "assignees", "assigned_to"})


CHANGE_SHORTCUT = WriteShortcut(update_task, TaskPatch, names_nothing_new, update_plainly)


@router.put(
    "/{task_id}",
    summary="Replace a task",
    description=(
        "Sets everything that can be set, so every field has to be there; those that are missing are listed. Needs "
        "`If-Match`, or `If-Match: *` for whatever is there. To change single fields, use PATCH."
    ),
    response_model=Envelope[TaskOut],
    responses={
        200: example({**TASK_EXAMPLE, "version": 2}, description="The task after the change.", headers=WRITTEN),
        **errors(
            TaskNotFound,
            AmbiguousKey,
            Forbidden,
            StatusNotFound,
            CategoryNotFound,
            LabelNotFound,
            DatesOutOfOrder,
            AssigneeNoAccess,
            *TREE,
            OpenSubtasks,
            Blocked,
            *WRITING,
        ),
    },
)
@scope("tasks:write")
@policy("task.edit")
async def replace_task(
    request: Request,
    task: WritableTask,
    body: TaskReplacement,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectingAlways,
    children: OpenChildren = "fail",
    *,
    force: Forcing = False,
) -> Response:
    row = await service.update_task(
        write.session, task=task, patch=body, expected=expected, actor=caller, children=children, force=force
    )
    return await written(request, write, caller, row)


@router.delete(
    "/{task_id}",
    summary="Delete a task",
    description=(
        "Moves the task to the trash, with all its subtasks, and answers with it; `Prefer: return=minimal` gets 204 "
        "instead. It stays there for 30 days, unless the server is set up otherwise, and can be restored. With "
        "`permanent=true` it is gone for good, from the trash or not, with all below it and all that hangs on it; the "
        "answer is the task as it was last."
    ),
    response_model=Envelope[TaskOut],
    responses={
        200: example(
            {**TASK_EXAMPLE, "version": 2, "deleted_at": "2026-11-25T10:00:00Z"},
            description="The task in the trash.",
            headers=WRITTEN,
        ),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(
            TaskNotFound,
            AmbiguousKey,
            Forbidden,
            *WRITING,
        ),
    },
)
@scope("tasks:delete")
@policy("task.delete")
async def delete_task(
    request: Request,
    task: DeletableTask,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
    *,
    permanent: Permanently = False,
) -> Response:
    delete = purge_task if permanent else service.delete_task
    row = await delete(write.session, task=task, expected=expected, actor=caller)
    if minimal:
        return write.no_content(await cursor_header(request, write, caller))
    return await written(request, write, caller, row)


@internal.get(
    "/{task_id}",
    summary="Locate a task for another service",
    description="Where the task lives and whether the caller, whose identity is passed on, may change it.",
    response_model=TaskLocation,
    responses={200: bare_example(LOCATION_EXAMPLE, description="Where it lives."), **errors(TaskNotFound)},
)
@any_credential("a service asks for a caller whose scope it has checked")
@policy("task.read")
async def locate_task(task: LocatableTask) -> TaskLocation:
    return TaskLocation(
        task_id=task["id"],
        workspace_id=task["workspace_id"],
        project_id=task["project_id"],
        can_edit=role_allows(task["role"], "task.edit"),
        role=task["role"],
        is_archived=task["is_archived"],
    )


def _meta(row: RowMapping) -> dict[str, Any]:
    """Return what there is to say of how a task was named, and of what was done to it."""
    return {name: row[name] for name in ("moved_from", "warnings") if row.get(name)}


async def written(
    request: Request,
    write: Write,
    caller: Principal,
    row: RowMapping,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    meta: dict[str, Any] | None = None,
) -> Response:
    """Answer a change of a task with the task, its version and the position in the log."""
    all_headers = {**await written_headers(request, write, caller, row), **(headers or {})}
    return write.reply(TaskOut.of(row), status=status, meta={**_meta(row), **(meta or {})}, headers=all_headers)
