from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class TaskCard(Base):
    """A task as the last event of it tells; `seq` is that event's place in the change log."""

    __tablename__ = "task_card"

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    project_id: Mapped[UUID]
    version: Mapped[int]
    seq: Mapped[int] = mapped_column(BigInteger)
    # The whole task, as the API shows it.
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)


class Watcher(Base):
    """Somebody who watches a task or did so, and whether they hear nothing of it all the same.

    Who made the task is here only if an event of watching told of them: they are interested without that.
    """

    __tablename__ = "watcher"

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    is_watching: Mapped[bool]
    is_muted: Mapped[bool]


class CommentCard(Base):
    """Whose a comment is, and how it begins; that is null once it is deleted."""

    __tablename__ = "comment_card"
    __table_args__ = (Index("ix_comment_card_task_id", "task_id"),)

    comment_id: Mapped[UUID] = mapped_column(primary_key=True)
    task_id: Mapped[UUID]
    author_id: Mapped[UUID]
    excerpt: Mapped[str | None] = mapped_column(String(200))


class PlaceCard(Base):
    """What a workspace or a project is called, and whether it is deleted."""

    __tablename__ = "place_card"

    place_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    is_deleted: Mapped[bool]
