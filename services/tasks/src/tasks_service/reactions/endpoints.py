from typing import Annotated

from chassis.errors import Forbidden
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.preconditions import WantsMinimal
from chassis.web.routing import policy, scope
from fastapi import Path, Request, Response

from tasks_service.changes.access import CURSOR, written_headers
from tasks_service.comments.access import WritableComment
from tasks_service.comments.errors import CommentDeleted, CommentNotFound
from tasks_service.comments.schemas import COMMENT_EXAMPLE, CommentOut
from tasks_service.projects.errors import ProjectArchived
from tasks_service.reactions import service
from tasks_service.reactions.errors import NotAnEmoji, TooManyReactions
from tasks_service.tasks.errors import AmbiguousKey

router = APIRouter(prefix="/api/v1/tasks/{task_id}/comments/{comment_id}/reactions", tags=["comments"])

HEADERS = {
    "ETag": "The comment's version, in quotes; reactions do not change it.",
    **CURSOR,
}
Emoji = Annotated[str, Path(description="One emoji, percent-encoded.", examples=["👍"])]


@router.put(
    "/{emoji}",
    summary="React to a comment",
    description="Puts an emoji of yours on a comment: 201 the first time, and 200 when it is there already.",
    response_model=Envelope[CommentOut],
    responses={
        200: example(COMMENT_EXAMPLE, description="The comment, as it was.", headers=HEADERS),
        201: {
            "model": Envelope[CommentOut],
            **example(
                COMMENT_EXAMPLE,
                description="The comment.",
                headers={**HEADERS, "Location": "Path of the comment, which shows its reactions."},
            ),
        },
        **errors(
            CommentNotFound, AmbiguousKey, Forbidden, NotAnEmoji, CommentDeleted, TooManyReactions, ProjectArchived
        ),
    },
)
@scope("comments:write")
@policy("comment.react")
async def add_reaction(
    request: Request, comment: WritableComment, emoji: Emoji, caller: CurrentPrincipal, write: Writing
) -> Response:
    row, is_new = await service.react(write.session, comment=comment, emoji=emoji, actor=caller)
    headers = await written_headers(request, write, caller, row)
    if is_new:
        headers["location"] = f"/api/v1/tasks/{row['task_id']}/comments/{row['id']}"
    return write.reply(CommentOut.of(row), status=201 if is_new else 200, headers=headers)


@router.delete(
    "/{emoji}",
    summary="Take a reaction back",
    description=(
        "Takes an emoji of yours from a comment. Where there is none it changes nothing. `Prefer: return=minimal` gets "
        "204 instead."
    ),
    response_model=Envelope[CommentOut],
    responses={
        200: example({**COMMENT_EXAMPLE, "reactions": []}, description="The comment.", headers=HEADERS),
        204: {"description": "The same; asked for with `Prefer: return=minimal`."},
        **errors(CommentNotFound, AmbiguousKey, Forbidden, NotAnEmoji, ProjectArchived),
    },
)
@scope("comments:write")
@policy("comment.react")
async def remove_reaction(
    request: Request,
    comment: WritableComment,
    emoji: Emoji,
    caller: CurrentPrincipal,
    write: Writing,
    minimal: WantsMinimal,
) -> Response:
    row = await service.take_back(write.session, comment=comment, emoji=emoji, actor=caller)
    headers = await written_headers(request, write, caller, row)
    return write.no_content(headers) if minimal else write.reply(CommentOut.of(row), headers=headers)
