import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from chassis.errors import CursorMismatch, Forbidden, IfMatchRequired, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example, stale
from chassis.web.pagination import (
    PageAndCursor,
    PagesQuery,
    PageTooDeep,
    PagingQuery,
    page_reply,
    paged_reply,
)
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response
from sqlalchemy import RowMapping

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.comments import repository, service
from tasks_service.comments.access import ReadableComment, WritableComment
from tasks_service.comments.errors import CommentDeleted, CommentNotFound, ParentCommentNotFound, ReplyToReply
from tasks_service.comments.schemas import (
    COMMENT_EXAMPLE,
    VERSION_EXAMPLE,
    CommentCreate,
    CommentOut,
    CommentPatch,
    CommentVersionOut,
    CommentView,
    Thread,
)
from tasks_service.markdown.rules import html_of
from tasks_service.mentions.errors import TooManyMentions
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks.access import ReadableTask, WritableTask
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.versions.access import Expecting
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict

router = APIRouter(prefix="/api/v1/tasks/{task_id}/comments", tags=["comments"])

ETAG = {"ETag": "The comment's version, in quotes."}
WRITTEN = {**ETAG, **CURSOR}
STALE = stale(ResourceVersionConflict, COMMENT_EXAMPLE, "body")
WRITING = (Forbidden, ProjectArchived, STALE, IfMatchMalformed, IfMatchRequired, ResourceBusy)
WARNED = (
    "Whoever is mentioned and can't see the task is not notified, and stands in `meta.warnings` as "
    "`MENTION_NO_ACCESS`, whether there is such a user or not."
)
Include = Annotated[
    list[Literal["html"]] | None,
    Query(
        description=(
            "What to add to each comment, repeated or joined by commas: `html` is the body as sanitized HTML, in "
            "`body_html`."
        )
    ),
]


@router.post(
    "",
    status_code=201,
    summary="Comment on a task",
    description=f"With `parent_id` it is a reply; replies have none of their own. {WARNED}",
    response_model=Envelope[CommentOut],
    responses={
        201: example(
            {**COMMENT_EXAMPLE, "reactions": []},
            description="The new comment.",
            headers={**WRITTEN, "Location": "Path of the new comment."},
        ),
        **errors(
            TaskNotFound, AmbiguousKey, Forbidden, ParentCommentNotFound, ReplyToReply, TooManyMentions, ProjectArchived
        ),
    },
)
@scope("comments:write")
@policy("task.comment")
async def create_comment(
    request: Request, task: WritableTask, body: CommentCreate, caller: CurrentPrincipal, write: Writing
) -> Response:
    made = await service.create_comment(write.session, task=task, wanted=body, actor=caller)
    path = f"/api/v1/tasks/{task['id']}/comments/{made.row['id']}"
    headers = {**await written_headers(request, write, caller, made.row), "location": path}
    return write.reply(CommentOut.of(made.row), status=201, meta=_meta(made), headers=headers)


@router.get(
    "",
    summary="List the comments of a task",
    description=(
        "The oldest first: those that are no replies, each with its `reply_count`, or with `parent_id` the replies "
        "to one. A deleted comment keeps its place, without a body. Paged by `page` or by `cursor`, as tasks are."
    ),
    response_model=PageEnvelope[CommentView],
    responses={
        200: page_example(COMMENT_EXAMPLE, description="One page of comments."),
        **errors(
            TaskNotFound, AmbiguousKey, InvalidCursor, CursorMismatch, PageAndCursor, PageTooDeep, NotYetConsistent
        ),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_comments(
    request: Request,
    task: ReadableTask,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: PagingQuery,
    parent_id: Annotated[UUID | None, Query(description="The replies to this comment.")] = None,
    include: Include = None,
) -> Response:
    thread = Thread(task["id"], parent_id)
    page = await service.list_comments(
        connection, caller=caller, thread=thread, paging=paging, signer=request.app.state.cursors
    )
    return paged_reply(request, await _shown(page.rows, include), paging, page.meta)


@router.get(
    "/{comment_id}",
    summary="Read a comment",
    description="One comment or reply. Its ETag goes into `If-Match` of a change.",
    response_model=Envelope[CommentView],
    responses={
        200: example(COMMENT_EXAMPLE, description="The comment.", headers=ETAG),
        **errors(CommentNotFound, AmbiguousKey, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def read_comment(comment: ReadableComment, include: Include = None) -> Response:
    [shown] = await _shown([comment], include)
    return reply(shown, headers={"etag": etag(comment["version"])})


@router.patch(
    "/{comment_id}",
    summary="Edit a comment",
    description=(
        "Your own only, at any time. What it said before is kept: see its versions. Only those whom it did not "
        f"mention before are notified. {WARNED}"
    ),
    response_model=Envelope[CommentOut],
    responses={
        200: example(
            {**COMMENT_EXAMPLE, "body": "Whole milk, or skimmed?", "version": 2, "edited_at": "2026-11-24T09:10:00Z"},
            description="The comment after the change.",
            headers=WRITTEN,
        ),
        **errors(CommentNotFound, AmbiguousKey, CommentDeleted, TooManyMentions, *WRITING),
    },
)
@scope("comments:write")
@policy("comment.edit")
async def update_comment(
    request: Request,
    comment: WritableComment,
    body: CommentPatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
) -> Response:
    edited = await service.update_comment(write.session, comment=comment, patch=body, expected=expected, actor=caller)
    headers = await written_headers(request, write, caller, edited.row)
    return write.reply(CommentOut.of(edited.row), meta=_meta(edited), headers=headers)


@router.delete(
    "/{comment_id}",
    summary="Delete a comment",
    description=(
        "Your own, or any as a manager of the project. Its words, what they were before, and the reactions go for "
        "good; its place and its replies stay. `Prefer: return=minimal` gets 204."
    ),
    response_model=Envelope[CommentOut],
    responses={
        200: example(
            {
                **COMMENT_EXAMPLE,
                "body": None,
                "reactions": [],
                "version": 2,
                "deleted_at": "2026-11-24T09:10:00Z",
                "deleted_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
            },
            description="The place of the comment.",
            headers=WRITTEN,
        ),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(CommentNotFound, AmbiguousKey, *WRITING),
    },
)
@scope("comments:write")
@policy("comment.delete")
async def delete_comment(
    request: Request,
    comment: WritableComment,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    row = await service.delete_comment(write.session, comment=comment, expected=expected, actor=caller)
    if minimal:
        return write.no_content(await cursor_header(request, write, caller))
    return write.reply(CommentOut.of(row), headers=await written_headers(request, write, caller, row))


@router.get(
    "/{comment_id}/versions",
    summary="List what a comment said before",
    description="The former bodies of an edited comment, the newest first; of a deleted one there are none left.",
    response_model=PageEnvelope[CommentVersionOut],
    responses={
        200: page_example(VERSION_EXAMPLE, description="One page of former versions."),
        **errors(CommentNotFound, AmbiguousKey, PageTooDeep, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_comment_versions(
    request: Request,
    comment: ReadableComment,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: PagesQuery,
) -> Response:
    rows, total = await repository.list_versions(
        connection,
        caller=caller,
        task_id=comment["task_id"],
        comment_id=comment["id"],
        limit=paging.per_page,
        offset=paging.offset,
    )
    return page_reply(request, [CommentVersionOut.of(row) for row in rows], paging, total)


async def _shown(rows: Sequence[RowMapping], include: Sequence[str] | None) -> list[CommentOut]:
    """Show comments; a page of long ones is rendered beside the loop, since that takes a while."""
    if not include:
        return [CommentOut.of(row) for row in rows]
    bodies = [row["body"] for row in rows]
    rendered = await asyncio.to_thread(lambda: [None if body is None else html_of(body) for body in bodies])
    return [CommentView.rendered(row, html) for row, html in zip(rows, rendered, strict=True)]


def _meta(written: service.Written) -> dict[str, object] | None:
    return {"warnings": list(written.warnings)} if written.warnings else None
