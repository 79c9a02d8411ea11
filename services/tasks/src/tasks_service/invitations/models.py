from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Invitation(Base):
    """An address that is asked into a workspace, once at a time."""

    __tablename__ = "invitation"
    __table_args__ = (
        Index(
            "uq_invitation_pending",
            "workspace_id",
            "email_canonical",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index("ix_invitation_invited_by", "invited_by", "mailed_at"),
        Index("ix_invitation_email_canonical", "email_canonical"),
        Index("ix_invitation_accepted_by", "accepted_by", postgresql_where=text("accepted_by IS NOT NULL")),
        Index("ix_invitation_expires_at", "expires_at"),
        CheckConstraint("role IN ('owner', 'admin', 'member', 'guest')", name="role"),
        CheckConstraint("state IN ('pending', 'accepted', 'declined', 'revoked')", name="state"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    email: Mapped[str] = mapped_column(String(320))
    email_canonical: Mapped[str] = mapped_column(String(320))
    role: Mapped[str] = mapped_column(String(16))
    # Projects with the role in each: `[{"project_id": …, "role": …}]`.
    projects: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    # SHA-256 of the mailed token.
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    state: Mapped[str] = mapped_column(String(16))
    invited_by: Mapped[UUID]
    accepted_by: Mapped[UUID | None]
    # How many mails it has had, and when the last one was asked for.
    mails: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    mailed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
