"""What events say of tasks, of who watches them, and of comments; one after the other, without any I/O."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

EXCERPT = 200
JOINERS = "\u200c\u200d"
MAX_NAME = 200
TASK, COMMENT, WATCHER, REACTION = "task.", "comment.", "watcher.", "reaction."
PURGED = "task.purged"
PLACES = ("workspace.", "project.")
GONE = (".deleted", ".purged")


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a workspace, as followers read it. `type` is without a version, such as `task.updated`."""

    id: UUID
    type: str
    seq: int
    workspace_id: UUID
    project_id: UUID | None
    task_id: UUID | None
    subject: UUID
    version: int
    data: Mapping[str, Any]
    changes: Sequence[Mapping[str, Any]]
    actor: Mapping[str, Any] | None
    audience: frozenset[UUID]
    quiet: bool
    occurred_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Event":
        """Read a row of `stream_event` of a workspace's stream."""
        frame = row["frame"]
        return cls(
            id=UUID(frame["event_id"]),
            type=frame["type"],
            seq=row["seq"],
            workspace_id=UUID(frame["workspace_id"]),
            project_id=_id(frame["project_id"]),
            task_id=_id(frame["task_id"]),
            subject=UUID(frame["subject"]),
            version=frame["version"],
            data=frame["data"] or {},
            changes=frame["changes"],
            actor=frame["actor"],
            audience=frozenset(row["audience"]).difference(row["lost_by"] or ()),
            quiet=bool(row["quiet"]),
            occurred_at=row["occurred_at"],
        )

    @property
    def actor_id(self) -> UUID | None:
        return None if self.actor is None else UUID(self.actor["id"])

    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Return what each field was and is."""
        return {one["field"]: (one.get("old"), one.get("new")) for one in self.changes}

    def named(self, field_name: str) -> UUID | None:
        """Return an id that the resource has in a field."""
        return _id(self.data.get(field_name))


@dataclass(frozen=True, slots=True)
class Task:
    """A task as its last event tells."""

    workspace_id: UUID
    project_id: UUID
    version: int
    seq: int
    data: Mapping[str, Any]

    @property
    def assignees(self) -> frozenset[UUID]:
        return frozenset(UUID(one) for one in self.data.get("assignees") or ())

    @property
    def created_by(self) -> UUID | None:
        return _id(self.data.get("created_by"))


@dataclass(frozen=True, slots=True)
class Watching:
    """How somebody watches a task."""

    is_watching: bool = False
    is_muted: bool = False


@dataclass(frozen=True, slots=True)
class Comment:
    """Whose a comment is, and how it begins."""

    task_id: UUID
    author_id: UUID
    excerpt: str | None


@dataclass(frozen=True, slots=True)
class Named:
    """What a workspace or a project is called."""

    name: str
    is_deleted: bool


@dataclass(slots=True)
class Cards:
    """What is known of all that some events are about, and which of it they have changed."""

    tasks: dict[UUID, Task] = field(default_factory=dict)
    watching: defaultdict[UUID, dict[UUID, Watching]] = field(default_factory=lambda: defaultdict(dict))
    comments: dict[UUID, Comment] = field(default_factory=dict)
    places: dict[UUID, Named] = field(default_factory=dict)
    new_tasks: set[UUID] = field(default_factory=set)
    new_watching: set[tuple[UUID, UUID]] = field(default_factory=set)
    new_comments: set[UUID] = field(default_factory=set)
    purged: set[UUID] = field(default_factory=set)

    def apply(self, event: Event) -> None:
        """Take in what an event says."""
        if event.type == PURGED:
            self._purge(event.subject)
        elif event.type.startswith(TASK):
            self._take_task(event)
        elif event.type.startswith(WATCHER):
            self._take_watcher(event)
        elif event.type.startswith(COMMENT):
            self._take_comment(event)
        elif event.type.startswith(PLACES):
            self.places[event.subject] = Named(str(event.data.get("name") or "")[:MAX_NAME], event.type.endswith(GONE))

    def watchers(self, task_id: UUID, *, is_watching: bool) -> set[UUID]:
        """Return who watches a task, or who did so and has ended it."""
        return {user_id for user_id, one in self.watching[task_id].items() if one.is_watching is is_watching}

    def is_muted(self, task_id: UUID | None, user_id: UUID) -> bool:
        """Tell whether somebody wants to hear nothing of a task."""
        return task_id is not None and self.watching[task_id].get(user_id, Watching()).is_muted

    def _take_task(self, event: Event) -> None:
        known = self.tasks.get(event.subject)
        if event.project_id is None or (known is not None and known.version > event.version):
            return
        self.tasks[event.subject] = Task(event.workspace_id, event.project_id, event.version, event.seq, event.data)
        self.new_tasks.add(event.subject)
        self.purged.discard(event.subject)

    def _take_watcher(self, event: Event) -> None:
        user_id = event.named("user_id")
        if user_id is None or event.task_id is None:
            return
        known = self.watching[event.task_id].get(user_id, Watching())
        is_watching = bool(event.data.get("is_watching", not event.type.endswith(".removed")))
        is_muted = bool(event.data.get("is_muted", known.is_muted))
        self.watching[event.task_id][user_id] = Watching(is_watching, is_muted)
        self.new_watching.add((event.task_id, user_id))

    def _take_comment(self, event: Event) -> None:
        author_id, body = event.named("author_id"), event.data.get("body")
        if author_id is None or event.task_id is None:
            return
        self.comments[event.subject] = Comment(event.task_id, author_id, None if body is None else excerpt_of(body))
        self.new_comments.add(event.subject)

    def _purge(self, task_id: UUID) -> None:
        self.purged.add(task_id)
        self.tasks.pop(task_id, None)
        self.new_tasks.discard(task_id)
        self.watching.pop(task_id, None)
        self.new_watching = {key for key in self.new_watching if key[0] != task_id}
        for comment_id in [one for one, comment in self.comments.items() if comment.task_id == task_id]:
            del self.comments[comment_id]
            self.new_comments.discard(comment_id)


def one_line(text: str) -> str:
    """Return somebody's text on one line, without anything invisible that turns or hides what is around it."""
    visible = (one for one in text if one.isspace() or one in JOINERS or unicodedata.category(one)[0] != "C")
    return " ".join("".join(visible).split())


def excerpt_of(body: str) -> str:
    """Return how a text begins, in one line."""
    line = " ".join(body.split())
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1].rstrip()}…"


def named_in(events: Iterable[Event]) -> tuple[set[UUID], set[UUID]]:
    """Return the tasks and the comments that have to be known for what events mean."""
    tasks = {one.task_id for one in events if one.task_id is not None}
    comments = {one.named(name) for one in events for name in ("parent_id", "comment_id") if one.named(name)}
    return tasks, {one for one in comments if one is not None}


def _id(value: Any) -> UUID | None:
    return None if value is None else UUID(str(value))
