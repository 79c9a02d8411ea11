from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Project(Base):
    __tablename__ = "project"
    __table_args__ = (
        Index("ix_project_workspace_id", "workspace_id", "id"),
        Index("uq_project_inbox", "workspace_id", unique=True, postgresql_where=text("is_inbox")),
        CheckConstraint("version >= 1", name="version"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    name: Mapped[str] = mapped_column(String(200))
    # The project of a personal workspace that takes tasks which name none.
    is_inbox: Mapped[bool]
    created_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
