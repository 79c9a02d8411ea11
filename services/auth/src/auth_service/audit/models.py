from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class AuditEvent(Base):
    """Something that happened to the security of an account; without secrets, and blanked when that is deleted."""

    __tablename__ = "audit_event"
    __table_args__ = (
        CheckConstraint("outcome IN ('success', 'refused')", name="outcome"),
        Index("ix_audit_event_subject_id", "subject_id", "id"),
        Index("ix_audit_event_actor_id", "actor_id", "id"),
        Index("ix_audit_event_action", "action", "id"),
    )

    # Version 7, so that the order of ids is the order of time.
    id: Mapped[UUID] = mapped_column(primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    action: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(8))
    # Who did it; nobody known for a login that failed, and for what the system does by itself.
    actor_id: Mapped[UUID | None]
    # The account that it happened to.
    subject_id: Mapped[UUID | None]
    # The session or API token by which it was done.
    credential_id: Mapped[UUID | None]
    address: Mapped[str | None] = mapped_column(String(45))
    device: Mapped[str | None] = mapped_column(String(256))
    request_id: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
