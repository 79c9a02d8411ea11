"""Keeping cards: what events say is taken in by whoever follows them, in one transaction with what is made of it."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.cards import repository
from notifications_service.cards.rules import Cards, Comment, Event, Task, Watching, named_in


async def load_cards(session: AsyncSession, *, events: Sequence[Event]) -> Cards:
    """Return what is known of all that events are about, as it was before them."""
    task_ids, comment_ids = named_in(events)
    cards = Cards()
    if task_ids:
        for row in await repository.find_tasks(session, task_ids):
            place = (row["workspace_id"], row["project_id"])
            cards.tasks[row["task_id"]] = Task(*place, row["version"], row["seq"], row["data"])
        for row in await repository.find_watchers(session, task_ids):
            cards.watching[row["task_id"]][row["user_id"]] = Watching(row["is_watching"], row["is_muted"])
    if comment_ids:
        for row in await repository.find_comments(session, comment_ids):
            cards.comments[row["comment_id"]] = Comment(row["task_id"], row["author_id"], row["excerpt"])
    return cards


async def save_cards(session: AsyncSession, *, cards: Cards) -> None:
    """Keep what events have changed."""
    if cards.purged:
        await repository.remove_tasks(session, cards.purged)
    tasks = {one: cards.tasks[one] for one in cards.new_tasks}
    await repository.put_tasks(
        session,
        [
            {
                "task_id": task_id,
                "workspace_id": one.workspace_id,
                "project_id": one.project_id,
                "version": one.version,
                "seq": one.seq,
                "data": one.data,
            }
            for task_id, one in tasks.items()
        ],
    )
    watching = {(task_id, user_id): cards.watching[task_id][user_id] for task_id, user_id in cards.new_watching}
    await repository.put_watchers(
        session,
        [
            {"task_id": task_id, "user_id": user_id, "is_watching": one.is_watching, "is_muted": one.is_muted}
            for (task_id, user_id), one in watching.items()
        ],
    )
    comments = {one: cards.comments[one] for one in cards.new_comments}
    await repository.put_comments(
        session,
        [
            {"comment_id": comment_id, "task_id": one.task_id, "author_id": one.author_id, "excerpt": one.excerpt}
            for comment_id, one in comments.items()
        ],
    )
    await repository.put_places(
        session,
        [{"place_id": one, "name": place.name, "is_deleted": place.is_deleted} for one, place in cards.places.items()],
    )
