from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from attachments_service.db import Base


class TaskLocation(Base):
    """Where a task lives, as its events have told."""

    __tablename__ = "task_location"
    __table_args__ = (Index("ix_task_location_workspace_id", "workspace_id"),)

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    # Not known of what was taken in before this was kept.
    project_id: Mapped[UUID | None]
    changed_seq: Mapped[int] = mapped_column(BigInteger)
    deleted: Mapped[bool]


class Membership(Base):
    """Who may see a workspace, as of `changed_seq` of its change log."""

    __tablename__ = "membership"
    __table_args__ = (Index("ix_membership_user_id", "user_id"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    # The change from which the user is a member; what was given before that ended with a former membership.
    joined_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    changed_seq: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[bool]


class ProjectPlace(Base):
    """Which workspace a project is in and who sees it, as of `changed_seq` of the change log."""

    __tablename__ = "project_place"
    __table_args__ = (Index("ix_project_place_workspace_id", "workspace_id"),)

    project_id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID]
    is_private: Mapped[bool]
    # What the members of the workspace have in it when it is not private.
    member_role: Mapped[str] = mapped_column(String(16))
    is_archived: Mapped[bool]
    changed_seq: Mapped[int] = mapped_column(BigInteger)
    deleted: Mapped[bool]


class ProjectMember(Base):
    """Who has a role in a project, as of `changed_seq` of the change log."""

    __tablename__ = "project_member"

    project_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    changed_seq: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[bool]


class TaskShare(Base):
    """Whom a single task is shared with, as of `changed_seq` of the change log."""

    __tablename__ = "task_share"

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    changed_seq: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[bool]


class EndedWorkspace(Base):
    """A workspace that was deleted, whose files go when it can't come back."""

    __tablename__ = "ended_workspace"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
