from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class StreamEvent(Base):
    """An event of a stream, kept for replay.

    A stream is a workspace's change log, or what one user alone is told (tell_user): then `workspace_id` is the
    user's id.
    """

    __tablename__ = "stream_event"
    __table_args__ = (
        Index("ix_stream_event_occurred_at", "occurred_at"),
        Index(
            "ix_stream_event_comment_deleted",
            "workspace_id",
            text("(frame ->> 'subject')"),
            postgresql_where=text("type = 'comment.deleted.v1'"),
        ),
        Index(
            "ix_stream_event_purged",
            "workspace_id",
            text("(frame ->> 'subject')"),
            postgresql_where=text("type IN ('task.purged.v1', 'project.purged.v1')"),
        ),
    )

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    type: Mapped[str] = mapped_column(String(100))
    audience: Mapped[list[UUID]] = mapped_column(ARRAY(PG_UUID(as_uuid=True)))
    # Who saw it before and does not any more.
    lost_by: Mapped[list[UUID] | None] = mapped_column(ARRAY(PG_UUID(as_uuid=True)))
    # Whether nobody is notified of it; where nothing is said, somebody may be.
    quiet: Mapped[bool | None]
    # The workspace that an event of a personal stream is about, as far as it is about one.
    about_workspace_id: Mapped[UUID | None]
    # What every reader's frame has in common.
    frame: Mapped[dict[str, Any]] = mapped_column(JSONB)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class StreamHead(Base):
    """Up to which number a stream's events are here without a gap; readers see nothing beyond."""

    __tablename__ = "stream_head"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    contiguous_seq: Mapped[int] = mapped_column(BigInteger)


class Membership(Base):
    """Who may see a workspace, as of `changed_seq` of its change log."""

    __tablename__ = "membership"
    __table_args__ = (Index("ix_membership_user_id", "user_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    joined_seq: Mapped[int] = mapped_column(BigInteger)
    changed_seq: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[bool]


class ProjectPlace(Base):
    """Which workspace a project is in, and whether its members see it, as of `changed_seq` of its change log.

    It never leaves its workspace. One that is not here was made before this was kept, and is open to the members.
    """

    __tablename__ = "project_place"

    project_id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    is_private: Mapped[bool]
    changed_seq: Mapped[int] = mapped_column(BigInteger)


class ProjectMember(Base):
    """Who has a role in a project, as of `changed_seq` of its workspace's change log."""

    __tablename__ = "project_member"

    project_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    # Not known of one that was given before this was kept.
    role: Mapped[str | None] = mapped_column(String(16))
    changed_seq: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[bool]


class TaskShare(Base):
    """Whom a single task is shared with, as of `changed_seq` of its workspace's change log."""

    __tablename__ = "task_share"

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    changed_seq: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[bool]
