from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Project(Base):
    __tablename__ = "project"
    __table_args__ = (
        Index("ix_project_workspace_id", "workspace_id", "id"),
        Index("uq_project_inbox", "workspace_id", unique=True, postgresql_where=text("is_inbox")),
        Index("uq_project_prefix", "workspace_id", "prefix", unique=True),
        Index("ix_project_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("visibility IN ('workspace', 'private')", name="visibility"),
        CheckConstraint("member_role IN ('editor', 'commenter', 'viewer')", name="member_role"),
        CheckConstraint("enforce_blockers IN ('off', 'warn', 'block')", name="enforce_blockers"),
        CheckConstraint("prefix IS NOT NULL AND prefix ~ '^[A-Z][A-Z0-9]{0,9}$'", name="prefix"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    name: Mapped[str] = mapped_column(String(200))
    # The project of a personal workspace that takes tasks which name none.
    is_inbox: Mapped[bool]
    description: Mapped[str | None] = mapped_column(Text)
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    # What the keys of its tasks begin with; made of the name by the database where none is given.
    prefix: Mapped[str | None] = mapped_column(String(10))
    # The number of the next task; the database counts.
    next_number: Mapped[int] = mapped_column(server_default="1")
    visibility: Mapped[str] = mapped_column(String(16), server_default="workspace")
    # What members of the workspace may do here, unless the project is private.
    member_role: Mapped[str] = mapped_column(String(16), server_default="editor")
    enforce_blockers: Mapped[str] = mapped_column(String(8), server_default="off")
    archived_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_by: Mapped[UUID | None]
    # When it was deleted for good: nobody sees it any more, and a job deletes its rows.
    purged_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ProjectMember(Base):
    __tablename__ = "project_member"
    __table_args__ = (
        UniqueConstraint("project_id", "user_id"),
        Index("ix_project_member_user_id", "user_id", "workspace_id"),
        CheckConstraint("role IN ('manager', 'editor', 'commenter', 'viewer')", name="role"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    user_id: Mapped[UUID]
    role: Mapped[str] = mapped_column(String(16))
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ProjectPrefix(Base):
    """Whose a prefix is, or was: it never becomes another project's, since keys are never used again."""

    __tablename__ = "project_prefix"
    __table_args__ = (CheckConstraint("prefix ~ '^[A-Z][A-Z0-9]{0,9}$'", name="prefix"),)

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"), primary_key=True)
    prefix: Mapped[str] = mapped_column(String(10), primary_key=True)
    # No reference: it outlasts the project.
    project_id: Mapped[UUID]
