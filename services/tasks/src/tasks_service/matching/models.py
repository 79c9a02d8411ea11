from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class TaskMark(Base):
    """Somebody whom a task is assigned to, or a label of it: what it is found by.

    Triggers keep it, in the transaction of the change. It has no policy, and so no `workspace_id`: an index of arrays
    could not be used under row-level security. It shows nothing by itself; queries look for it in places that the
    caller has a role in, and join it to tasks, whose policies hold.
    """

    __tablename__ = "task_mark"
    __table_args__ = (
        # Read alone, to count.
        Index(
            "ix_task_mark_by_newest",
            *("mark", "project_id", "task_id"),
            postgresql_include=["status", "status_category", "priority"],
        ),
        Index("ix_task_mark_by_urgency", "mark", "project_id", text("priority_rank DESC"), "due_sort", "task_id"),
        Index("ix_task_mark_by_due", "mark", "project_id", "due_sort", "task_id"),
        Index("ix_task_mark_by_updated", "mark", "project_id", "updated_at", "task_id"),
    )

    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    mark: Mapped[UUID] = mapped_column(primary_key=True)
    # All of these are the task's.
    project_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(String(40))
    status_category: Mapped[str] = mapped_column(String(16))
    priority: Mapped[str] = mapped_column(String(16))
    priority_rank: Mapped[int | None] = mapped_column(SmallInteger)
    due_sort: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
