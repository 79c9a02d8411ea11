from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool
from sqlalchemy import RowMapping

from tasks_service.changes.schemas import derived_id
from tasks_service.watchers.rules import Reason

EXAMPLE_USER_ID = "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03"


class WatcherAdd(BaseModel):
    """Somebody who is to hear of a task."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"user_id": EXAMPLE_USER_ID}]})

    user_id: UUID = Field(description="You, or somebody who can see the task.")


class WatcherResource(BaseModel):
    """Somebody who hears of a task, as events show it."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    task_id: UUID
    user_id: UUID
    reason: Reason = Field(description="What began it: a rule of theirs, or `manual`.")
    since: datetime


class WatcherOut(WatcherResource):
    """Somebody who hears of a task."""

    name: str | None = Field(description="`Deleted user` of somebody who is gone; null until it is known.")
    is_muted: bool | None = Field(description="Of yourself, whether you hear nothing of it all the same; else null.")

    @classmethod
    def of(cls, row: RowMapping, task: RowMapping, *, caller_id: UUID) -> "WatcherOut":
        """Make the resource of a row and that of its task, for a caller."""
        is_muted = row["is_muted"] if row["user_id"] == caller_id else None
        return cls.model_construct(**resource_of(row, task), name=row["name"], is_muted=is_muted)


class Watching(WatcherResource):
    """How somebody watches a task; nobody else is told."""

    is_watching: bool = Field(description="Whether they are one of its watchers.")
    is_muted: bool = Field(description="Whether they hear nothing of it, watching or not.")

    @classmethod
    def of(cls, row: RowMapping, task: RowMapping) -> "Watching":
        """Make the resource of a row and that of its task."""
        return cls.model_construct(**resource_of(row, task), is_watching=row["is_watching"], is_muted=row["is_muted"])


class WatchRules(BaseModel):
    """What makes you watch a task by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"created": True, "assigned": True, "mentioned": True, "commented": False}]},
    )

    created: StrictBool = Field(default=True, description="You made it.")
    assigned: StrictBool = Field(default=True, description="You became one of its assignees.")
    mentioned: StrictBool = Field(default=True, description="Somebody mentioned you in it.")
    commented: StrictBool = Field(default=True, description="You commented on it.")


def resource_of(row: RowMapping, task: RowMapping) -> dict[str, Any]:
    """Return what there is to say of a watcher of a task."""
    return {
        "id": derived_id("watcher", task["id"], row["user_id"]),
        "workspace_id": task["workspace_id"],
        "project_id": task["project_id"],
        "task_id": task["id"],
        "user_id": row["user_id"],
        "reason": row["reason"],
        "since": row["created_at"],
    }


WATCHER_EXAMPLE: dict[str, Any] = {
    "id": "1d0ee6b2-2d6d-5d2c-9d7e-0f2b4a8b1c03",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "user_id": EXAMPLE_USER_ID,
    "reason": "manual",
    "since": "2026-11-24T09:00:00Z",
}
WATCHER_OUT_EXAMPLE = {**WATCHER_EXAMPLE, "name": "Ada", "is_muted": None}
WATCHING_EXAMPLE = {**WATCHER_EXAMPLE, "is_watching": True, "is_muted": True}
WATCH_RULES_EXAMPLE = {"created": True, "assigned": True, "mentioned": True, "commented": False}
