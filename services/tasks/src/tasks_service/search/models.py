from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class SearchDocument(Base):
    """What a task, a comment or the name of an attachment is found by.

    Triggers keep those of tasks and comments, in the transaction of the change. It has no policy, and so no
    `workspace_id`: under row-level security an index of words could not be used. It shows nothing by itself; every
    query joins it to tasks, whose policies hold.
    """

    __tablename__ = "search_document"
    __table_args__ = (
        Index("ix_search_document_task_id", "task_id"),
        Index("ix_search_document_project_id", "project_id", "task_id"),
        Index("ix_search_document_vector", "vector", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        CheckConstraint("kind IN ('task', 'comment', 'attachment')", name="kind"),
    )

    # That of the task, the comment or the attachment.
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    # That of the task, wherever it is moved.
    project_id: Mapped[UUID]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    # Of a task, or what an attachment is called: null once that is deleted.
    title: Mapped[str | None] = mapped_column(String(500))
    # Of an attachment: what its last event said.
    version: Mapped[int | None]
    vector: Mapped[str] = mapped_column(TSVECTOR)
