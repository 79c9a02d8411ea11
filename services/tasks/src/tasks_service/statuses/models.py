from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Status(Base):
    """A status that tasks of a project may have. The database gives a new project its first four."""

    __tablename__ = "status"
    __table_args__ = (
        UniqueConstraint("project_id", "key"),
        CheckConstraint("category IN ('backlog', 'todo', 'in_progress', 'done', 'cancelled')", name="category"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    key: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(100))
    category: Mapped[str] = mapped_column(String(16))
    position: Mapped[str] = mapped_column(String(255, collation="C"))
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
