from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base

ORDERS = {
    "urgency": (text("priority_rank DESC"), "due_sort"),
    "priority": ("priority_rank",),
    "due": ("due_sort",),
    "title": ("title_sort",),
    "start": ("start_date",),
    "deadline": ("deadline",),
    "estimate": ("estimate_minutes",),
    "completed": ("completed_at",),
    "created": ("created_at",),
    "updated": ("updated_at",),
}
"""The orders that each project's tasks are kept in, by the names of indexes; the id is the last key of each."""


class Task(Base):
    __tablename__ = "task"
    __table_args__ = (
        Index("ix_task_workspace_id", "workspace_id", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_task_project_id", "project_id", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("uq_task_number", "project_id", "number", unique=True),
        Index(
            "uq_task_external",
            "project_id",
            "external_source",
            "external_id",
            unique=True,
            postgresql_where=text("external_source IS NOT NULL AND deleted_at IS NULL"),
        ),
        Index("ix_task_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index("ix_task_by_status", "project_id", "status", "id"),
        Index(
            "ix_task_counts",
            "project_id",
            "status",
            "priority",
            "assigned_to",
            "status_category",
            "workspace_id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_task_position", "project_id", "position", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_task_category_id", "category_id", postgresql_where=text("category_id IS NOT NULL")),
        Index("ix_task_trash", "workspace_id", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
        *(
            Index(f"ix_task_by_{name}", "project_id", *keys, "id", postgresql_where=text("deleted_at IS NULL"))
            for name, keys in ORDERS.items()
        ),
        ForeignKeyConstraint(["project_id", "status"], ["status.project_id", "status.key"]),
        CheckConstraint("priority IN ('none', 'low', 'medium', 'high', 'urgent')", name="priority"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("number IS NOT NULL AND number >= 1", name="number"),
        CheckConstraint("position IS NOT NULL", name="position"),
        CheckConstraint("(status_category = 'done') = (completed_at IS NOT NULL)", name="completed"),
        CheckConstraint(
            "CASE WHEN assigned_to IS NULL THEN cardinality(assignees) = 0 ELSE assigned_to = ANY (assignees) END",
            name="assignees",
        ),
        CheckConstraint("(external_source IS NULL) = (external_id IS NULL)", name="external"),
        CheckConstraint("subtasks_done BETWEEN 0 AND subtasks_total", name="subtasks"),
        CheckConstraint("parent_id <> id", name="parent"),
        CheckConstraint("start_date <= deadline", name="dates"),
        CheckConstraint("estimate_minutes >= 0", name="estimate_minutes"),
        CheckConstraint("completion_policy ~ '^(any|all|quorum:[1-9][0-9]?)$'", name="completion_policy"),
        CheckConstraint(
            "CASE due_kind WHEN 'date' THEN due_date IS NOT NULL AND due_local IS NULL AND due_at IS NULL"
            " WHEN 'at' THEN due_at IS NOT NULL AND due_local IS NOT NULL AND due_timezone IS NOT NULL"
            " WHEN 'local' THEN due_local IS NOT NULL AND due_at IS NULL AND due_timezone IS NULL"
            " ELSE due_date IS NULL AND due_at IS NULL AND due_local IS NULL END",
            name="due",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    title: Mapped[str] = mapped_column(String(500))
    description: Mapped[str | None] = mapped_column(Text)
    # With the project's prefix it is the task's key; the database counts.
    number: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(16))
    # Of the status; the database looks it up.
    status_category: Mapped[str] = mapped_column(String(16), server_default="todo")
    category_id: Mapped[UUID | None] = mapped_column(ForeignKey("category.id"))
    labels: Mapped[list[UUID]] = mapped_column(ARRAY(PG_UUID(as_uuid=True)), server_default="{}")
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("task.id"))
    subtasks_total: Mapped[int] = mapped_column(server_default="0")
    subtasks_done: Mapped[int] = mapped_column(server_default="0")
    # The primary one of the assignees.
    assigned_to: Mapped[UUID | None]
    assignees: Mapped[list[UUID]] = mapped_column(ARRAY(PG_UUID(as_uuid=True)), server_default="{}")
    # `any`, `all` or `quorum:<n>` of the assignees.
    completion_policy: Mapped[str] = mapped_column(String(16), server_default="any")
    reopen_on_assign: Mapped[bool] = mapped_column(server_default="false")
    start_date: Mapped[date | None] = mapped_column(Date)
    deadline: Mapped[date | None] = mapped_column(Date)
    estimate_minutes: Mapped[int | None]
    # Where it stands in its project; made of the number by the database where none is given.
    position: Mapped[str | None] = mapped_column(String(255, collation="C"))
    external_source: Mapped[str | None] = mapped_column(String(64))
    external_id: Mapped[str | None] = mapped_column(String(255))
    custom: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    priority: Mapped[str] = mapped_column(String(16))
    # What tasks are sorted by, made by the database: comparisons of these reach an index under row security.
    priority_rank: Mapped[int | None] = mapped_column(SmallInteger)
    due_sort: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    title_sort: Mapped[str | None] = mapped_column(String(150, collation="C"))
    due_kind: Mapped[str | None] = mapped_column(String(8))
    due_date: Mapped[date | None] = mapped_column(Date)
    # Derived from due_local and due_timezone, which are the truth of a timed due.
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    due_local: Mapped[datetime | None] = mapped_column(DateTime(timezone=False))
    due_timezone: Mapped[str | None] = mapped_column(String(64))
    completed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    completed_by: Mapped[UUID | None]
    created_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_by: Mapped[UUID | None]
    # The task with which a subtask went to the trash, and comes back.
    deleted_with: Mapped[UUID | None]


class TaskKeyAlias(Base):
    """A key that a task had before it moved, or before its project got another prefix."""

    __tablename__ = "task_key_alias"
    __table_args__ = (Index("ix_task_key_alias_task_id", "task_id"),)

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(24), primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
