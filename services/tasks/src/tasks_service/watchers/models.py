from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Watcher(Base):
    """Whether somebody wants to hear of a task. Who has stopped watching stays, so that no rule begins it again."""

    __tablename__ = "watcher"
    __table_args__ = (
        Index("ix_watcher_user_id", "user_id", "workspace_id"),
        CheckConstraint("reason IN ('created', 'assigned', 'mentioned', 'commented', 'manual')", name="reason"),
    )

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(String(16))
    is_watching: Mapped[bool]
    is_muted: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class WatchRule(Base):
    """What makes somebody watch a task by itself; without a row everything does."""

    __tablename__ = "watch_rule"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    created: Mapped[bool]
    assigned: Mapped[bool]
    mentioned: Mapped[bool]
    commented: Mapped[bool]
