from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base

IN_USE = text("deleted_at IS NULL")


class Webhook(Base):
    """Where somebody has events sent to. It sees what its owner sees, within its scope."""

    __tablename__ = "webhook"
    __table_args__ = (
        Index("ix_webhook_workspace_id", "workspace_id", postgresql_where=IN_USE),
        Index("ix_webhook_owner_id", "owner_id", postgresql_where=IN_USE),
        Index("ix_webhook_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    scope_type: Mapped[str] = mapped_column(String(16))
    # A workspace, a project, or the owner.
    scope_id: Mapped[UUID]
    # Where the scope is; None where that is a user.
    workspace_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(String(100))
    url: Mapped[str] = mapped_column(String(2_000))
    events: Mapped[list[str]] = mapped_column(ARRAY(String(100)))
    project_ids: Mapped[list[UUID]] = mapped_column(ARRAY(PG_UUID(as_uuid=True)))
    changed_fields: Mapped[list[str]] = mapped_column(ARRAY(String(100)))
    filter: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    payload: Mapped[str] = mapped_column(String(8))
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None] = mapped_column(String(16))
    # What happened before is still for it, however late that is followed; None where it never was enabled.
    disabled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # By stream, the last event that was here when it was made.
    begins_after: Mapped[dict[str, int] | None] = mapped_column(JSONB(none_as_null=True))
    # When the first of the failures was that no success has followed.
    failing_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # chassis.sealing; the place is `webhook|secret_sealed|<id>`.
    secret_sealed: Mapped[str] = mapped_column(Text)
    # The one before, which signs too until then.
    old_secret_sealed: Mapped[str | None] = mapped_column(Text)
    old_secret_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # Nobody sees it from then on; its rows go bit by bit.
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
