from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Star(Base):
    __tablename__ = "star"
    __table_args__ = (Index("ix_star_task_id", "task_id"),)

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
