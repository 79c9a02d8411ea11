from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class ServiceAccount(Base):
    """An account of a program that belongs to a workspace; nobody logs in to it, it has API tokens only."""

    __tablename__ = "service_account"
    __table_args__ = (
        CheckConstraint("role IN ('member', 'guest')", name="role"),
        Index("ix_service_account_workspace_id", "workspace_id", "account_id"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    workspace_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(8))
    # Who made it, and may have gone since: it outlives its creator.
    created_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class DeletedWorkspace(Base):
    """A workspace that is gone. Kept for good, so that no account is made for it that nothing would end."""

    __tablename__ = "deleted_workspace"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
