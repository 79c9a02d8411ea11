from typing import Annotated

from chassis.errors import Forbidden, IfMatchRequired
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.flags import Flag
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, stale
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply
from chassis.web.routing import gives_name, policy, scope
from fastapi import Body, Path, Query, Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.metadata import repository, service
from tasks_service.metadata.errors import MetadataMissing, NamespaceTaken, TooManyNamespaces
from tasks_service.metadata.rules import NAMESPACE_PATTERN, app_of
from tasks_service.metadata.schemas import METADATA_EXAMPLE, MetadataOut, Value
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks.access import ReadableTask, WritableTask
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.versions.access import Expecting
from tasks_service.versions.errors import ResourceVersionConflict

router = APIRouter(prefix="/api/v1/tasks/{task_id}/metadata", tags=["metadata"])

ETAG = {"ETag": "The version of this metadata, in quotes; the task has its own."}
WRITTEN = {**ETAG, **CURSOR}
STALE = stale(ResourceVersionConflict, METADATA_EXAMPLE)
WRITING = (AmbiguousKey, Forbidden, ProjectArchived, STALE, IfMatchMalformed, IfMatchRequired)
Namespace = Annotated[
    str,
    Path(
        pattern=NAMESPACE_PATTERN,
        description="Of the app that uses it first in the workspace; small letters, digits, dots, dashes.",
        examples=["crm"],
    ),
]


@router.get(
    "",
    summary="List the metadata of a task",
    description="What your app keeps with it, and what other apps share, by namespace.",
    response_model=Envelope[list[MetadataOut]],
    responses={
        200: example([METADATA_EXAMPLE], description="The metadata."),
        **errors(TaskNotFound, AmbiguousKey, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_task_metadata(task: ReadableTask, caller: CurrentPrincipal, connection: FreshConnection) -> Response:
    rows = await repository.list_readable(connection, task_id=task["id"], app_id=app_of(caller))
    return reply([MetadataOut.of(row) for row in rows])


@router.get(
    "/{namespace}",
    summary="Read metadata of a task",
    description=(
        "What your app keeps with the task in this namespace, or another one shares. Its ETag goes into `If-Match` of "
        "a change. The answer is never 304, since what is removed and kept again begins with version 1."
    ),
    response_model=Envelope[MetadataOut],
    responses={
        200: example(METADATA_EXAMPLE, description="The metadata.", headers=ETAG),
        **errors(MetadataMissing, AmbiguousKey, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("task.read")
async def read_task_metadata(
    task: ReadableTask, namespace: Namespace, caller: CurrentPrincipal, connection: FreshConnection
) -> Response:
    rows = await repository.list_readable(connection, task_id=task["id"], app_id=app_of(caller), namespace=namespace)
    if not rows:
        raise MetadataMissing
    return reply(MetadataOut.of(rows[0]), headers={"etag": etag(rows[0]["version"])})


@router.put(
    "/{namespace}",
    summary="Keep metadata with a task",
    description=(
        "The body is any JSON object of up to 16 KiB, which is kept as a whole. A namespace is of the app that uses it "
        "first in the workspace: of an API token, a service account, or a person. Others read it with `shared=true` "
        "alone. The task does not change."
    ),
    response_model=Envelope[MetadataOut],
    responses={
        200: example(METADATA_EXAMPLE, description="The metadata.", headers=WRITTEN),
        **errors(TaskNotFound, NamespaceTaken, TooManyNamespaces, *WRITING),
    },
)
@gives_name("namespace")
@scope("tasks:write")
@policy("task.keep_metadata")
async def put_task_metadata(
    request: Request,
    task: WritableTask,
    namespace: Namespace,
    body: Annotated[Value, Body(examples=[METADATA_EXAMPLE["value"]])],
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    *,
    shared: Annotated[
        Flag | None,
        Query(description="Whether everybody who sees the task may read it; absent leaves that as it is."),
    ] = None,
) -> Response:
    row = await service.put_metadata(
        write.session,
        task=task,
        namespace=namespace,
        value=body,
        shared=shared,
        expected=expected,
        actor=caller,
    )
    headers = await written_headers(request, write, caller, row)
    return write.reply(MetadataOut.of(row), headers=headers)


@router.delete(
    "/{namespace}",
    summary="Delete metadata of a task",
    description="By its app; the namespace stays that app's. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The metadata is gone.", headers={**CURSOR}),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(MetadataMissing, NamespaceTaken, *WRITING),
    },
)
@scope("tasks:write")
@policy("task.keep_metadata")
async def delete_task_metadata(
    request: Request,
    task: WritableTask,
    namespace: Namespace,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    await service.remove_metadata(write.session, task=task, namespace=namespace, expected=expected, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)
