from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Label(Base):
    """A word that is put on tasks: any number a task."""

    __tablename__ = "label"
    __table_args__ = (UniqueConstraint("workspace_id", "owner_id", "name_key", postgresql_nulls_not_distinct=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    # Set for a personal one, which nobody else sees.
    owner_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(String(100))
    # The name as it is compared: NFKC, casefolded.
    name_key: Mapped[str] = mapped_column(String(400))
    color: Mapped[str | None] = mapped_column(String(7))
    created_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class PersonalLabel(Base):
    """A personal label on a task: a state of its owner and not of the task. Shared ones are in `task.labels`."""

    __tablename__ = "personal_label"
    __table_args__ = (
        Index("ix_personal_label_task_id", "task_id"),
        Index("ix_personal_label_label_id", "label_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    label_id: Mapped[UUID] = mapped_column(ForeignKey("label.id", ondelete="CASCADE"), primary_key=True)
