from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class TaskShare(Base):
    """A task that is shown to somebody who need not see its project."""

    __tablename__ = "task_share"
    __table_args__ = (
        UniqueConstraint("task_id", "user_id"),
        Index("ix_task_share_user_id", "user_id", "workspace_id"),
        CheckConstraint("role IN ('editor', 'commenter', 'viewer')", name="role"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    user_id: Mapped[UUID]
    role: Mapped[str] = mapped_column(String(16))
    shared_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
