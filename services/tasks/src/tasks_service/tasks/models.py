from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, DateTime, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Task(Base):
    __tablename__ = "task"
    __table_args__ = (
        Index("ix_task_workspace_id", "workspace_id", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_task_project_id", "project_id", "id", postgresql_where=text("deleted_at IS NULL")),
        CheckConstraint("status IN ('todo', 'in_progress', 'done', 'cancelled')", name="status"),
        CheckConstraint("priority IN ('none', 'low', 'medium', 'high', 'urgent')", name="priority"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name="completed"),
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
    status: Mapped[str] = mapped_column(String(16))
    priority: Mapped[str] = mapped_column(String(16))
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
