from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Comment(Base):
    """A comment, or a reply to one. What is deleted leaves its place, without its words."""

    __tablename__ = "comment"
    __table_args__ = (
        Index("ix_comment_task_id", "task_id", "id"),
        Index("ix_comment_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        CheckConstraint("(body IS NULL) = (deleted_at IS NOT NULL)", name="body"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("comment.id", ondelete="CASCADE"))
    author_id: Mapped[UUID]
    body: Mapped[str | None] = mapped_column(Text)
    mentions: Mapped[list[UUID]] = mapped_column(ARRAY(PG_UUID(as_uuid=True)))
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    edited_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_by: Mapped[UUID | None]


class CommentVersion(Base):
    """What a comment said at a version."""

    __tablename__ = "comment_version"

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    comment_id: Mapped[UUID] = mapped_column(ForeignKey("comment.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Reaction(Base):
    __tablename__ = "reaction"

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    comment_id: Mapped[UUID] = mapped_column(ForeignKey("comment.id", ondelete="CASCADE"), primary_key=True)
    emoji: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
