import json
from typing import Annotated

from chassis.errors import CursorMismatch, Forbidden, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.database import bound_of
from chassis.web.envelope import PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import Responses, enveloped, errors
from chassis.web.pagination import CursorPaging, paged_reply
from chassis.web.replies import PRIVATE
from chassis.web.routing import policy, scope
from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.history import service
from tasks_service.history.access import AuditFilterQuery
from tasks_service.history.schemas import AUDIT_EXAMPLE, HISTORY_EXAMPLE, AuditEntry, HistoryEntry
from tasks_service.tasks.access import ReadableTask
from tasks_service.tasks.errors import TaskNotFound
from tasks_service.workspaces.access import ReadableWorkspace
from tasks_service.workspaces.errors import WorkspaceMissing

NDJSON = "application/x-ndjson"

of_task = APIRouter(prefix="/api/v1/tasks", tags=["history"])
of_workspace = APIRouter(prefix="/api/v1/workspaces", tags=["history"])


LINES = {
    NDJSON: {
        "schema": {"type": "string", "description": "An entry a line, as it is in the pages."},
        "example": f"{json.dumps(AUDIT_EXAMPLE)}\n",
    }
}


def _found(entry: object, description: str, **more: object) -> Responses:
    listed = enveloped([entry], per_page=20, next_cursor=None, prev_cursor=None, has_more=False)
    return {200: {"description": description, "content": {"application/json": {"example": listed}, **more}}}


@of_task.get(
    "/{task_id}/history",
    summary="Read what happened to a task",
    description=(
        "Every change of the task and of what hangs on it, field by field, the newest first: who, through what, and "
        "why. It is shown to who sees the task now. Of what is somebody's own (stars, personal labels, metadata that "
        "is not shared) you see yours. A relation is in the histories of both its tasks, with its `type` "
        "and the `task_id` of the other one as they are from there, for who sees that one now, too."
    ),
    response_model=PageEnvelope[HistoryEntry],
    responses={
        **_found(HISTORY_EXAMPLE, "A part of the history."),
        **errors(TaskNotFound, InvalidCursor, CursorMismatch, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_task_history(
    request: Request,
    task: ReadableTask,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: CursorPaging,
    field: Annotated[
        str | None, Query(pattern=r"^[a-z_]{1,64}$", description="Only changes of this field, such as `status`.")
    ] = None,
) -> Response:
    page = await service.task_history(
        connection, caller=caller, task=task, field=field, paging=paging, signer=request.app.state.cursors
    )
    entries = await service.history_entries(connection, page.rows, task_id=task["id"])
    return paged_reply(request, entries, paging, page.meta)


@of_workspace.get(
    "/{workspace_id}/audit",
    summary="Read the audit of a workspace",
    description=(
        "Every change of everything in the workspace, the newest first, for its owners and admins. With `Accept: "
        "application/x-ndjson` the whole of it, an entry a line. No entry is ever changed or taken out, except that "
        "the words of a deleted comment are not told any more. Logins and the use of credentials are in the audit of "
        "accounts: `GET /api/v1/users/me/audit` and `GET /api/v1/admin/audit`."
    ),
    response_model=PageEnvelope[AuditEntry],
    responses={
        **_found(AUDIT_EXAMPLE, "A part of the audit, or with `Accept: application/x-ndjson` all of it.", **LINES),
        **errors(WorkspaceMissing, Forbidden, InvalidCursor, CursorMismatch, NotYetConsistent),
    },
)
@scope("admin:*")
@policy("workspace.read_audit")
async def read_workspace_audit(
    request: Request,
    workspace: ReadableWorkspace,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    wanted: AuditFilterQuery,
    paging: CursorPaging,
    accept: Annotated[str, Header(alias="Accept", description="`application/x-ndjson` exports everything.")] = "*/*",
) -> Response:
    if NDJSON in accept:
        lines = service.export_audit(
            request.app.state.database,
            bound_of(request),
            caller=caller,
            workspace_id=workspace["id"],
            wanted=wanted,
        )
        return StreamingResponse(lines, 200, dict(PRIVATE), NDJSON)
    page = await service.audit(
        connection,
        caller=caller,
        workspace_id=workspace["id"],
        wanted=wanted,
        paging=paging,
        signer=request.app.state.cursors,
    )
    entries = await service.audit_entries(connection, page.rows)
    return paged_reply(request, entries, paging, page.meta)
