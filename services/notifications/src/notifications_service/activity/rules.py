"""Who is told of an event, and as what: from the event and what is known of its task, without any I/O."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from notifications_service.cards.rules import Cards, Event
from notifications_service.kinds import KINDS, Kind

OLDEST = timedelta(days=7)
"""Of what is older when it is followed nobody is told."""
NOT_TOLD = frozenset(
    {"position", "progress", "completed_at", "completed_by", "status_category", "version", "updated_at"}
)
"""Fields of a task whose change alone is nobody's news, or is told by another one."""
DATES = frozenset({"due", "deadline"})
ENDED = frozenset({"succeeded", "failed"})
CLOSED = frozenset({"done", "cancelled"})
OF_ONESELF: frozenset[Kind] = frozenset(
    {"reminder", "overdue", "due_soon", "job_finished", "webhook_disabled", "channel_disabled"}
)
"""What somebody is told even where they are who did it."""
DESPITE_MUTING: frozenset[Kind] = frozenset({"reminder"})
OF_USERS: Mapping[str, Kind] = {"webhook.disabled": "webhook_disabled"}
"""What is told in the stream of a user, and is to be in their inbox, too."""
RANKS: Mapping[Kind, int] = {kind: rank for rank, kind in enumerate(KINDS)}

Candidates = Iterable[tuple[UUID | None, Kind]]


def told_of(event: Event, cards: Cards) -> dict[UUID, Kind]:
    """Return whom an event is told, and as what: the first kind that fits. `cards` have taken it in already.

    Only who is in its audience, never who did it, and nobody who has muted its task.
    """
    found: dict[UUID, Kind] = {}
    for user_id, kind in _candidates(event, cards):
        if user_id is not None and _is_told(event, cards, user_id, kind):
            found[user_id] = min(kind, found.get(user_id, kind), key=RANKS.__getitem__)
    return found


def _is_told(event: Event, cards: Cards, user_id: UUID, kind: Kind) -> bool:
    if user_id not in event.audience or (user_id == event.actor_id and kind not in OF_ONESELF):
        return False
    return kind in DESPITE_MUTING or not cards.is_muted(event.task_id, user_id)


def _candidates(event: Event, cards: Cards) -> Candidates:
    look = LOOKS.get(event.type)
    return () if look is None else look(event, cards)


def interested_in(task_id: UUID | None, cards: Cards) -> set[UUID]:
    """Return who hears of whatever happens to a task: who made it, does it or watches it, unless they ended that."""
    task = None if task_id is None else cards.tasks.get(task_id)
    if task is None or task_id is None:
        return set() if task_id is None else cards.watchers(task_id, is_watching=True)
    near = {*task.assignees, *cards.watchers(task_id, is_watching=True)}
    if task.created_by is not None:
        near.add(task.created_by)
    return near - cards.watchers(task_id, is_watching=False)


def _all(kind: Kind) -> Callable[[Event, Cards], Candidates]:
    """Return what tells everybody who is interested in the task."""
    return lambda event, cards: [(user_id, kind) for user_id in interested_in(event.task_id, cards)]


def _one(field: str, kind: Kind) -> Callable[[Event, Cards], Candidates]:
    """Return what tells the one whom the resource names."""
    return lambda event, _: [(event.named(field), kind)]


def _new_task(event: Event, cards: Cards) -> Candidates:
    task = cards.tasks.get(event.subject)
    return [] if task is None else [(user_id, "assigned") for user_id in task.assignees]


def _changed_task(event: Event, cards: Cards) -> Iterator[tuple[UUID | None, Kind]]:
    changed = event.changed()
    before, after = (_ids(value) for value in changed.get("assignees", ((), ())))
    yield from ((user_id, "assigned") for user_id in after - before)
    yield from ((user_id, "unassigned") for user_id in before - after)
    kind = kind_of_change(changed)
    if kind is not None:
        yield from ((user_id, kind) for user_id in interested_in(event.task_id, cards))


def kind_of_change(changed: Mapping[str, tuple[Any, Any]]) -> Kind | None:
    """Return what the change of a task's fields is to who hears of it; None where it is no news."""
    old, new = changed.get("status_category", (None, None))
    if new == "done":
        return "completed"
    if old in CLOSED and new not in CLOSED:
        return "reopened"
    if "status" in changed or "status_category" in changed:
        return "status_changed"
    if changed.keys() & DATES:
        return "due_changed"
    return "updated" if changed.keys() - NOT_TOLD else None


def _new_comment(event: Event, cards: Cards) -> Iterator[tuple[UUID | None, Kind]]:
    yield from ((user_id, "mentioned") for user_id in _ids(event.data.get("mentions")))
    parent = event.named("parent_id")
    if parent is not None and parent in cards.comments:
        yield cards.comments[parent].author_id, "replied"
    yield from ((user_id, "commented") for user_id in interested_in(event.task_id, cards))


def _edited_comment(event: Event, _cards: Cards) -> Candidates:
    before, after = (_ids(value) for value in event.changed().get("mentions", ((), ())))
    return [(user_id, "mentioned") for user_id in after - before]


def _reaction(event: Event, cards: Cards) -> Candidates:
    comment = cards.comments.get(event.named("comment_id") or event.subject)
    return [] if comment is None else [(comment.author_id, "reacted")]


def _job(event: Event, _cards: Cards) -> Candidates:
    has_ended = event.changed().get("status", (None, None))[1] in ENDED
    return [(event.named("created_by"), "job_finished")] if has_ended else []


LOOKS: Mapping[str, Callable[[Event, Cards], Candidates]] = {
    "task.created": _new_task,
    "task.updated": _changed_task,
    "task.moved": _all("updated"),
    "task.deleted": _all("deleted"),
    "task.restored": _all("updated"),
    "task.due_soon": _all("due_soon"),
    "task.overdue": _all("overdue"),
    "reminder.fired": _one("user_id", "reminder"),
    "assignee.updated": _all("updated"),
    "comment.created": _new_comment,
    "comment.updated": _edited_comment,
    "reaction.added": _reaction,
    "attachment.created": _all("updated"),
    "task_share.added": _one("user_id", "shared"),
    "task_share.updated": _one("user_id", "role_changed"),
    "project_member.added": _one("user_id", "added_to_project"),
    "project_member.updated": _one("user_id", "role_changed"),
    "member.added": _one("user_id", "added_to_workspace"),
    "member.updated": _one("user_id", "role_changed"),
    "job.updated": _job,
}
SILENT = frozenset(
    {
        "task.purged",
        "comment.deleted",
        "reaction.removed",
        "attachment.deleted",
        "task_share.removed",
        "project_member.removed",
        "member.removed",
        "job.created",
    }
)
SILENT_NOUNS = frozenset(
    {
        "category",
        "checklist_item",
        "filter",
        "invitation",
        "label",
        "personal_label",
        "project",
        "relation",
        "star",
        "status",
        "task_metadata",
        "watcher",
        "workspace",
    }
)
"""Of these nobody is told: what is about a list, or about somebody alone, or would be noise."""


def _ids(value: Any) -> set[UUID]:
    return {UUID(str(one)) for one in value or ()}
