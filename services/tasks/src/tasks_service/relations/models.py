from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Relation(Base):
    """How two tasks are related; stored once, shown from both ends. What has no direction begins at the lower id."""

    __tablename__ = "relation"
    __table_args__ = (
        UniqueConstraint("type", "from_task_id", "to_task_id"),
        Index("ix_relation_from_task_id", "from_task_id"),
        Index("ix_relation_to_task_id", "to_task_id"),
        CheckConstraint("type IN ('blocks', 'relates_to', 'duplicates', 'precedes')", name="type"),
        CheckConstraint("from_task_id <> to_task_id", name="two"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    type: Mapped[str] = mapped_column(String(16))
    from_task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    to_task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
