from typing import Annotated
from uuid import UUID

from chassis.errors import Forbidden, IfMatchRequired, NotFound
from chassis.identity import Principal
from chassis.web.app import APIRouter
from chassis.web.database import Write, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example, stale
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply, unless_unchanged
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response
from sqlalchemy import RowMapping

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.includes.service import shown
from tasks_service.labels import service
from tasks_service.labels.access import ReadableLabel, TaskAndLabel, WritableLabel
from tasks_service.labels.errors import LabelExists, LabelNotFound, TooManyLabels
from tasks_service.labels.schemas import (
    LABEL,
    LABEL_EXAMPLE,
    LabelCreate,
    LabelMerge,
    LabelOut,
    LabelPatch,
    TaskLabel,
)
from tasks_service.names import service as names
from tasks_service.names.errors import NamedMissing
from tasks_service.names.repository import list_visible
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks.endpoints import STALE as TASK_STALE
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskView
from tasks_service.versions.access import Expecting, ExpectingFields
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict
from tasks_service.workspaces.errors import WorkspaceNotFound

router = APIRouter(prefix="/api/v1/labels", tags=["labels"])
of_tasks = APIRouter(prefix="/api/v1/tasks", tags=["labels"])

ETAG = {"ETag": "The label's version, in quotes."}
WRITTEN = {**ETAG, **CURSOR}
STALE = stale(ResourceVersionConflict, LABEL_EXAMPLE, "name")
WRITING = (NamedMissing, Forbidden, STALE, IfMatchMalformed, IfMatchRequired, ResourceBusy)
ON_TASK = (
    TaskNotFound,
    AmbiguousKey,
    Forbidden,
    ProjectArchived,
    TASK_STALE,
    IfMatchMalformed,
    IfMatchRequired,
)
TASK_WRITTEN = {"ETag": "The task's version, in quotes.", **CURSOR}
LABELLED_EXAMPLE = {
    **TASK_EXAMPLE,
    "labels": [LABEL_EXAMPLE["id"]],
    "label_details": [{name: LABEL_EXAMPLE[name] for name in TaskLabel.model_fields}],
}


@router.get(
    "",
    summary="List labels",
    description="The labels of your workspaces and your own ones, by name; shared ones go into `labels` of tasks.",
    response_model=PageEnvelope[LabelOut],
    responses={
        200: page_example(LABEL_EXAMPLE, description="One page of labels."),
        **errors(PageTooDeep, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("workspace.read")
async def list_labels(
    request: Request,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: PagesQuery,
    workspace_id: Annotated[UUID | None, Query(description="Only this workspace.")] = None,
) -> Response:
    rows, total = await list_visible(
        connection,
        LABEL.table,
        caller=caller,
        workspace_id=workspace_id,
        limit=paging.per_page,
        offset=paging.offset,
    )
    return page_reply(request, [LabelOut.of(row) for row in rows], paging, total)


@router.post(
    "",
    status_code=201,
    summary="Create a label",
    description=(
        "A label is for the tasks of a workspace, and shared by all who see them; without `workspace_id` that is your "
        "personal one. With `personal` it is yours alone, for any task that you can see. A name is unique among those "
        "of the workspace, or among your own, whatever its case."
    ),
    response_model=Envelope[LabelOut],
    responses={
        201: example(
            LABEL_EXAMPLE,
            description="The new label.",
            headers={**WRITTEN, "Location": "Path of the new label."},
        ),
        **errors(WorkspaceNotFound, Forbidden, LabelExists, NotFound),
    },
)
@scope("tasks:write")
@policy("workspace.create_label")
async def create_label(request: Request, body: LabelCreate, caller: CurrentPrincipal, write: Writing) -> Response:
    row = await service.create_label(write.session, wanted=body, actor=caller)
    headers = {"location": f"{router.prefix}/{row['id']}", **await written_headers(request, write, caller, row)}
    return write.reply(LabelOut.of(row), status=201, headers=headers)


@router.get(
    "/{label_id}",
    summary="Read a label",
    description="One label by its id. Its ETag goes into `If-Match` of a change, or `If-None-Match` of a read.",
    response_model=Envelope[LabelOut],
    responses={
        200: example(LABEL_EXAMPLE, description="The label.", headers=ETAG),
        304: {"description": "The label is still at the version in If-None-Match."},
        **errors(NamedMissing, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("workspace.read")
async def read_label(request: Request, label: ReadableLabel) -> Response:
    headers = {"etag": etag(label["version"])}
    return unless_unchanged(request, reply(LabelOut.of(label), headers=headers))


@router.patch(
    "/{label_id}",
    summary="Change a label",
    description="A JSON merge patch: absent fields keep their value, null clears. Tasks that have it do not change.",
    response_model=Envelope[LabelOut],
    responses={
        200: example(
            {**LABEL_EXAMPLE, "name": "Balcony", "version": 2},
            description="The label after the change.",
            headers=WRITTEN,
        ),
        **errors(LabelExists, *WRITING),
    },
)
@scope("tasks:write")
@policy("label.edit")
async def update_label(
    request: Request,
    label: WritableLabel,
    body: LabelPatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectingFields,
) -> Response:
    row = await names.update(write.session, LABEL, row=label, patch=body, expected=expected, actor=caller)
    headers = await written_headers(request, write, caller, row)
    return write.reply(LabelOut.of(row), headers=headers)


@router.delete(
    "/{label_id}",
    summary="Delete a label",
    description=(
        "Deletes the label and takes it off all tasks, those in the trash and in archived projects as well. "
        "`Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The label is gone.", headers={**CURSOR}),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(*WRITING),
    },
)
@scope("tasks:delete")
@policy("label.delete")
async def delete_label(
    request: Request,
    label: WritableLabel,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    await service.delete_label(write.session, row=label, expected=expected, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)


@router.post(
    "/{label_id}/merge",
    summary="Merge a label into another",
    description=(
        "All tasks that have the label get the other one in its place, once, and the label is deleted. Answers with "
        "the one that goes on."
    ),
    response_model=Envelope[LabelOut],
    responses={
        200: example(LABEL_EXAMPLE, description="The label that goes on.", headers=WRITTEN),
        **errors(LabelNotFound, *WRITING),
    },
)
@scope("tasks:delete")
@policy("label.delete")
async def merge_label(
    request: Request,
    label: WritableLabel,
    body: LabelMerge,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
) -> Response:
    row = await service.merge_labels(write.session, row=label, into=body.into, expected=expected, actor=caller)
    headers = await written_headers(request, write, caller, row)
    return write.reply(LabelOut.of(row), headers=headers)


@of_tasks.put(
    "/{task_id}/labels/{label_id}",
    summary="Put a label on a task",
    description=(
        "A label of the workspace changes the task, for whoever may edit it. One of your own is put on any task that "
        "you can see, archived or not; the task does not change, and nobody else sees it. Nothing happens when it is "
        "there already."
    ),
    response_model=Envelope[TaskView],
    responses={
        200: example(LABELLED_EXAMPLE, description="The task, with what is said of its labels.", headers=TASK_WRITTEN),
        **errors(TooManyLabels, *ON_TASK),
    },
)
@scope("tasks:write")
@policy("task.label")
async def put_task_label(
    request: Request, found: TaskAndLabel, caller: CurrentPrincipal, write: Writing, expected: Expecting
) -> Response:
    task, label = found.task, found.label
    if found.is_personal:
        await service.put_personal(write.session, task=task, label=label, actor=caller)
    else:
        task = await service.put_shared(write.session, task=task, label=label, expected=expected, actor=caller)
    return await _labelled(request, write, caller, task)


@of_tasks.delete(
    "/{task_id}/labels/{label_id}",
    summary="Take a label off a task",
    description=(
        "The contrary of putting it there, on the same terms. Nothing happens when it is not there. "
        "`Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[TaskView],
    responses={
        200: example(LABELLED_EXAMPLE, description="The task, with what is said of its labels.", headers=TASK_WRITTEN),
        204: {"description": "The same; asked for with `Prefer: return=minimal`."},
        **errors(*ON_TASK),
    },
)
@scope("tasks:write")
@policy("task.label")
async def remove_task_label(
    request: Request,
    found: TaskAndLabel,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    task, label = found.task, found.label
    if found.is_personal:
        await service.take_personal_off(write.session, task=task, label=label, actor=caller)
    else:
        task = await service.take_shared_off(write.session, task=task, label=label, expected=expected, actor=caller)
    if minimal:
        return write.no_content(await written_headers(request, write, caller, task))
    return await _labelled(request, write, caller, task)


async def _labelled(request: Request, write: Write, caller: Principal, task: RowMapping) -> Response:
    [view] = await shown(write.session, [task], caller, ["labels"])
    headers = await written_headers(request, write, caller, task)
    return write.reply(view, headers=headers)
