"""Use cases of reactions. Each is part of one transaction that its caller commits."""

from chassis.clock import utcnow
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.comments.errors import CommentDeleted
from tasks_service.comments.service import read_comment
from tasks_service.reactions import repository
from tasks_service.reactions.errors import NotAnEmoji, TooManyReactions
from tasks_service.reactions.events import reaction_added, reaction_removed
from tasks_service.reactions.rules import MAX_DISTINCT, as_emoji


async def react(session: AsyncSession, *, comment: RowMapping, emoji: str, actor: Principal) -> tuple[RowMapping, bool]:
    """Put an emoji on a comment, and return the comment and whether the emoji is new there; twice is once.

    Raises NotAnEmoji, CommentDeleted, TooManyReactions.
    """
    wanted = _valid(emoji)
    if comment["deleted_at"] is not None:
        raise CommentDeleted
    given = await repository.emoji_on(session, comment["id"])
    if wanted not in given and len(given) >= MAX_DISTINCT:
        raise TooManyReactions
    row = await repository.add(session, _new_reaction(comment, wanted, actor))
    draft = None if row is None else reaction_added(row, comment)
    return await _changed(session, comment, draft, actor), row is not None


async def take_back(session: AsyncSession, *, comment: RowMapping, emoji: str, actor: Principal) -> RowMapping:
    """Take an emoji of the actor from a comment, and return the comment; what is not there is no matter.

    Raises NotAnEmoji.
    """
    wanted = _valid(emoji)
    row = await repository.remove(session, comment_id=comment["id"], user_id=actor.user_id, emoji=wanted)
    draft = None if row is None else reaction_removed(row, comment)
    return await _changed(session, comment, draft, actor)


async def _changed(
    session: AsyncSession, comment: RowMapping, draft: ChangeDraft | None, actor: Principal
) -> RowMapping:
    after = await read_comment(session, caller=actor, task_id=comment["task_id"], comment_id=comment["id"])
    if draft is not None:
        await changes.record(session, workspace_id=comment["workspace_id"], actor=actor, drafts=[draft])
    return after


def _valid(emoji: str) -> str:
    found = as_emoji(emoji)
    if found is None:
        raise NotAnEmoji(field="emoji")
    return found


def _new_reaction(comment: RowMapping, emoji: str, actor: Principal) -> dict[str, object]:
    return {
        "workspace_id": comment["workspace_id"],
        "comment_id": comment["id"],
        "emoji": emoji,
        "user_id": actor.user_id,
        "created_at": utcnow(),
    }
