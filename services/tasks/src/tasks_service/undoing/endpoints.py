from typing import Annotated

from chassis.errors import Forbidden, NotFound
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import EXAMPLE_REQUEST_ID, errors, example
from chassis.web.routing import no_policy, scope
from fastapi import Path, Request, Response

from tasks_service.blockers.errors import Blocked
from tasks_service.categories.errors import CategoryExists
from tasks_service.changes.access import CURSOR, cursor_header
from tasks_service.checklists.errors import ChecklistFull
from tasks_service.comments.errors import CommentDeleted
from tasks_service.inverses.errors import UndoConflict, UndoNotPossible
from tasks_service.labels.errors import LabelExists
from tasks_service.positions.errors import NoRoomLeft
from tasks_service.projects.errors import PrefixTaken, ProjectArchived
from tasks_service.reactions.errors import TooManyReactions
from tasks_service.saved_filters.errors import FilterExists
from tasks_service.statuses.errors import LastStatus, StatusExists, StatusInUse, StatusLimitReached
from tasks_service.subtasks.errors import OpenSubtasks
from tasks_service.tasks.errors import ExternalIdTaken
from tasks_service.undoing import service
from tasks_service.undoing.errors import UndoExpired, UndoTooLarge
from tasks_service.undoing.schemas import UNDONE_EXAMPLE, UndoneChange
from tasks_service.versions.errors import ResourceBusy

router = APIRouter(prefix="/api/v1/operations/{request_id}/undo", tags=["history"])

RequestId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9._-]{8,64}$",
        description="The `X-Request-Id` of your request, which every answer has as `meta.request_id`.",
        examples=[EXAMPLE_REQUEST_ID],
    ),
]

OF_ACTIONS = (
    ProjectArchived,
    OpenSubtasks,
    Blocked,
    ExternalIdTaken,
    NoRoomLeft,
    ChecklistFull,
    CommentDeleted,
    TooManyReactions,
    LabelExists,
    CategoryExists,
    FilterExists,
    PrefixTaken,
    StatusExists,
    StatusInUse,
    StatusLimitReached,
    LastStatus,
)
"""What may stand in the way of the actions that turn changes back; what is invalid is UndoNotPossible instead."""


@router.post(
    "",
    summary="Undo a request",
    description=(
        "Turns back everything that a request of yours changed, or nothing of it, within 15 minutes (unless the "
        "server is set up otherwise): the newest change first, each by the action that is its opposite, which you "
        "must still be allowed to do. It is a change like any other, with `undo of <request id>` as its reason in "
        "the history, and is undone by its own request id. The answer is what it changed. A request or a job that made "
        "more than 2,000 changes (unless the server is set up otherwise) can't be undone: `UNDO_TOO_LARGE`, with "
        "`data.limit`. Making a task is one, one more below a parent, which counts "
        "it, and one for each assignee who begins to watch it.\n\n"
        "What was changed since, by others or by you, is a conflict, field by field (`data.conflicts`), and so is "
        "what is undone already, and a new task with subtasks or comments by now. If you gave several "
        "requests the same id, they are undone together.\n\n"
        "Undone can be: making, changing, placing, moving, deleting and restoring tasks, with labels and "
        "assignees; what assignees say; items of checklists; relations; making and changing comments (not "
        "deleting them: the words are gone); reactions, stars, watching and muting, labels of your own on tasks; "
        "making and changing labels and categories (making only while they are not in use), statuses (not their "
        "key or category) and projects (not their visibility), archiving, deleting and restoring projects. All "
        "else, such as members, invitations, shares, metadata, merged or deleted labels, and what was deleted for "
        "good, can't: `UNDO_NOT_POSSIBLE` names it. What follows from a change, such as the progress of a parent, "
        "follows from its undoing, too; who began to watch a task by it goes on doing so, and a task that moves "
        "back gets another key."
    ),
    response_model=Envelope[list[UndoneChange]],
    responses={
        200: example([UNDONE_EXAMPLE], description="What the undo changed.", headers=CURSOR),
        **errors(
            NotFound, Forbidden, UndoExpired, UndoTooLarge, UndoConflict, UndoNotPossible, ResourceBusy, *OF_ACTIONS
        ),
    },
)
@scope("tasks:write")
@no_policy("each change is turned back by an action, which is decided by itself")
async def undo_operation(request: Request, request_id: RequestId, caller: CurrentPrincipal, write: Writing) -> Response:
    reach: service.Reach = request.app.state.undo_reach
    undone = await service.undo(write.session, request_id=request_id, actor=caller, reach=reach)
    headers = await cursor_header(request, write, caller)
    meta = {"warnings": list(undone.warnings)} if undone.warnings else None
    return write.reply(undone.changes, meta=meta, headers=headers)
