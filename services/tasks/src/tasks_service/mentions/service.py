"""Deciding whom a text reaches."""

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees import repository as assignees
from tasks_service.mentions.errors import TooManyMentions
from tasks_service.mentions.rules import MAX_MENTIONS, found_in
from tasks_service.mentions.schemas import NOBODY, Mentions
from tasks_service.visibility.repository import hold_members


async def resolve(session: AsyncSession, *, task: RowMapping, text: str, field: str) -> Mentions:
    """Tell whom a text on a task mentions; they keep their access until the end of the transaction.

    `field` is where the text was sent. Raises TooManyMentions.
    """
    named = found_in(text)
    if len(named) > MAX_MENTIONS:
        raise TooManyMentions(field=field)
    if not named:
        return NOBODY
    await hold_members(session, workspace_id=task["workspace_id"], user_ids=named)
    readers = await assignees.readers_among(session, task_id=task["id"], user_ids=named)
    return Mentions([one for one in named if one in readers], [one for one in named if one not in readers])
