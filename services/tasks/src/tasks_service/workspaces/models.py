from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base

ROLES = ("owner", "admin", "member", "guest")


class Workspace(Base):
    __tablename__ = "workspace"
    __table_args__ = (CheckConstraint("version >= 1", name="version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    # Set for the one personal workspace of a user; unique, so that two first requests at once make one.
    personal_owner_id: Mapped[UUID | None] = mapped_column(unique=True)
    # Whether changes have to say which version they were made for.
    require_if_match: Mapped[bool] = mapped_column(server_default="false")
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Member(Base):
    __tablename__ = "member"
    __table_args__ = (
        UniqueConstraint("workspace_id", "user_id"),
        Index("ix_member_user_id", "user_id", "workspace_id"),
        CheckConstraint("role IN ('owner', 'admin', 'member', 'guest')", name="role"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    user_id: Mapped[UUID]
    role: Mapped[str] = mapped_column(String(16))
    # Position in the workspace's change log from which on this member sees it.
    joined_seq: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ServiceAccount(Base):
    """A workspace's own account for machines. One that is deleted stays: what is heard of it late changes nothing."""

    __tablename__ = "service_account"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # Of another's fact, which may name what is not here.
    workspace_id: Mapped[UUID]
    version: Mapped[int]
    deleted: Mapped[bool]
