from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt
from sqlalchemy import RowMapping

from notifications_service.inbox.rules import TASKLOOM, called, text_of
from notifications_service.kinds import Kind

ActorType = Literal["user", "service_account"]
MAX_SEQ = 2**63 - 1
EXAMPLE_TASK_ID = "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"


@dataclass(frozen=True, slots=True)
class NewNotification:
    """What somebody is to be told."""

    user_id: UUID
    kind: Kind
    event_id: UUID
    event_type: str
    workspace_id: UUID | None = None
    project_id: UUID | None = None
    task_id: UUID | None = None
    comment_id: UUID | None = None
    actor: Mapping[str, Any] | None = None
    details: Mapping[str, Any] | None = None
    task: Mapping[str, Any] | None = None
    """The task as the event had it, for the frame."""
    urgent: bool = False


class TaskRef(BaseModel):
    """The task that a notification is about, as it is now."""

    id: UUID
    key: str
    title: str


class ActorRef(BaseModel):
    """Who did it. The name is null until it is known, and `Deleted user` of somebody who is gone."""

    id: UUID
    name: str | None
    type: ActorType


class ChangeOut(BaseModel):
    """What a field was and is; long texts are cut, and what is larger is null."""

    field: str
    old: Any
    new: Any


class NotificationResource(BaseModel):
    """A notification as frames show it: without words that somebody may delete."""

    id: UUID
    user_id: UUID = Field(description="Whose it is.")
    seq: int = Field(description="Its number in the user's own sequence, which goes up.")
    kind: Kind = Field(description="What it is to the user.")
    text: str = Field(description="The notification in a sentence, in English.")
    task: TaskRef | None
    workspace_id: UUID | None
    project_id: UUID | None
    task_id: UUID | None
    comment_id: UUID | None
    changes: list[ChangeOut] = Field(description="What changed, of changes of a task.")
    actor: ActorRef | None = Field(description="Null of what the service does of its own accord.")
    event_id: UUID = Field(description="The event that it tells of.")
    event_type: str
    read_at: datetime | None
    archived_at: datetime | None
    created_at: datetime

    @classmethod
    def of_row(cls, row: Mapping[str, Any] | RowMapping) -> "NotificationResource":
        """Make the resource of a row with the names that go with it."""
        return cls.model_construct(**shown(row))


class NotificationOut(NotificationResource):
    """A notification."""

    excerpt: str | None = Field(description="How the comment begins that it is about; null once that is deleted.")

    @classmethod
    def of(cls, row: RowMapping) -> "NotificationOut":
        """Make the resource of a row with the names that go with it."""
        return cls.model_construct(**shown(row), excerpt=row["excerpt"])


class GroupOut(BaseModel):
    """What is told of one task; what is about no task is a group of its own."""

    task: TaskRef | None
    count: int = Field(description="How many notifications it has, of those that are asked for.")
    unread_count: int
    latest: list[NotificationOut] = Field(description="The latest five, the last one first.")
    updated_at: datetime = Field(description="When the last one came.")

    @classmethod
    def of(cls, rows: Sequence[RowMapping]) -> "GroupOut":
        """Make the resource of the latest rows of a task."""
        latest = [NotificationOut.of(row) for row in rows]
        return cls.model_construct(
            task=latest[0].task,
            count=rows[0]["count"],
            unread_count=rows[0]["unread_count"],
            latest=latest,
            updated_at=latest[0].created_at,
        )


def shown(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    """Return what a notification shows of a row with the names that go with it."""
    names = {
        "who": row["actor_name"] if row["actor"] is not None else TASKLOOM,
        "task": called(row["task_key"], row["task_title"]),
        "project": row["project_name"],
        "workspace": row["workspace_name"],
    }
    kept = (
        *("id", "user_id", "seq", "kind", "workspace_id", "project_id", "task_id", "comment_id"),
        *("event_id", "event_type", "read_at", "archived_at", "created_at"),
    )
    return {
        **{name: row[name] for name in kept},
        "text": text_of(row["kind"], row["event_type"], row["details"], names),
        "task": _task(row),
        "changes": [ChangeOut.model_construct(**one) for one in row["details"].get("changes", ())],
        "actor": _actor(row),
    }


def _task(row: Mapping[str, Any] | RowMapping) -> TaskRef | None:
    if row["task_id"] is None or row["task_key"] is None:
        return None
    return TaskRef.model_construct(id=row["task_id"], key=row["task_key"], title=row["task_title"])


def _actor(row: Mapping[str, Any] | RowMapping) -> ActorRef | None:
    actor = row["actor"]
    if actor is None:
        return None
    return ActorRef.model_construct(id=UUID(actor["id"]), name=row["actor_name"], type=actor["type"])


class UnreadCount(BaseModel):
    """How many notifications are neither read nor archived."""

    unread_count: int


class Marked(BaseModel):
    """How many notifications were marked, and how many are still unread."""

    changed: int
    unread_count: int


class NotificationPatch(MergePatch):
    """A JSON merge patch (RFC 7396)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"read": True}, {"archived": True}]})

    read: Annotated[StrictBool, NotNull] = Field(
        default=False, description="Whether it is read.", json_schema_extra=without_default
    )
    archived: Annotated[StrictBool, NotNull] = Field(
        default=False, description="Whether it is archived.", json_schema_extra=without_default
    )


class MarkAll(BaseModel):
    """Which notifications: all of these, where a part is given."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{}, {"up_to": 1042}, {"task_id": EXAMPLE_TASK_ID}]}
    )

    up_to: Annotated[StrictInt, Field(ge=0, le=MAX_SEQ)] | None = Field(
        default=None,
        description="Only up to this `seq`: what came after the last one that was shown stays as it is.",
    )
    workspace_id: UUID | None = Field(default=None, description="Only those of this workspace.")
    task_id: UUID | None = Field(default=None, description="Only those of this task.")


class AllMarked(BaseModel):
    """That many notifications were marked at once, as frames show it."""

    id: UUID
    user_id: UUID
    up_to: int = Field(description="The last `seq` of them that may be.")
    workspace_id: UUID | None = Field(description="Only those of this workspace, where it is given.")
    project_ids: list[UUID] | None = Field(description="Only those of these projects, where they are given.")
    task_id: UUID | None = Field(description="Only those of this task, where it is given.")
    changed: int
    at: datetime


RESOURCE_EXAMPLE: Mapping[str, Any] = {
    "id": "0199d3b2-8a10-7c33-9f6a-2b1f6c0f5a71",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "seq": 1042,
    "kind": "mentioned",
    "text": "Bob mentioned you in INBOX-12 Buy milk",
    "task": {"id": EXAMPLE_TASK_ID, "key": "INBOX-12", "title": "Buy milk"},
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "task_id": EXAMPLE_TASK_ID,
    "comment_id": "0199d3b2-7b10-7c33-9f6a-2b1f6c0f5a21",
    "changes": [],
    "actor": {"id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c04", "name": "Bob", "type": "user"},
    "event_id": "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1",
    "event_type": "comment.created",
    "read_at": None,
    "archived_at": None,
    "created_at": "2026-11-24T09:05:01Z",
}
NOTIFICATION_EXAMPLE: Mapping[str, Any] = {
    **RESOURCE_EXAMPLE,
    "excerpt": "@[user:0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03] whole or skimmed?",
}
GROUP_EXAMPLE: Mapping[str, Any] = {
    "task": RESOURCE_EXAMPLE["task"],
    "count": 1,
    "unread_count": 1,
    "latest": [NOTIFICATION_EXAMPLE],
    "updated_at": "2026-11-24T09:05:01Z",
}
ALL_MARKED_EXAMPLE: Mapping[str, Any] = {
    "id": "0199d3b2-8a20-7c33-9f6a-2b1f6c0f5a72",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "up_to": 1042,
    "workspace_id": None,
    "project_ids": None,
    "task_id": None,
    "changed": 7,
    "at": "2026-11-24T09:20:00Z",
}
