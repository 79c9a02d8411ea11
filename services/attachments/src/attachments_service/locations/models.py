from uuid import UUID

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from attachments_service.db import Base


class TaskLocation(Base):
    """Where a task lives, as its events have told."""

    __tablename__ = "task_location"

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
    changed_seq: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[bool]
