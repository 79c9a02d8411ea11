from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, DateTime, ForeignKey, Index, String
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class ChecklistItem(Base):
    __tablename__ = "checklist_item"
    __table_args__ = (
        Index("ix_checklist_item_task_id", "task_id", "position"),
        Index("ix_checklist_item_assignee_id", "assignee_id", postgresql_where=sql("assignee_id IS NOT NULL")),
        CheckConstraint("done = (done_at IS NOT NULL)", name="done"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    text: Mapped[str] = mapped_column(String(500))
    done: Mapped[bool]
    done_by: Mapped[UUID | None]
    done_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    assignee_id: Mapped[UUID | None]
    due_date: Mapped[date | None] = mapped_column(Date)
    position: Mapped[str] = mapped_column(String(255, collation="C"))
    created_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
