from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Assignee(Base):
    """What one of `task.assignees` has said of the task."""

    __tablename__ = "assignee"
    __table_args__ = (
        # Read alone, with what row-level security asks for.
        Index("ix_assignee_tasks", "user_id", "workspace_id", "task_id"),
        CheckConstraint("state IN ('pending', 'done', 'declined')", name="state"),
    )

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    assigned_by: Mapped[UUID]
    assigned_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
