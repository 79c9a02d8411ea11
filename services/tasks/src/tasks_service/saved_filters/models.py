from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class SavedFilter(Base):
    """A view of tasks that somebody keeps: what to show, and in which order. It gives no sight of any task."""

    __tablename__ = "saved_filter"
    __table_args__ = (UniqueConstraint("workspace_id", "owner_id", "name_key", postgresql_nulls_not_distinct=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    # Set for a personal one, which nobody else sees.
    owner_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(String(100))
    # The name as it is compared: NFKC, casefolded.
    name_key: Mapped[str] = mapped_column(String(400))
    description: Mapped[str | None] = mapped_column(String(2_000))
    # The tree as it was written: `me` and relative dates are resolved for who uses it.
    filter: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    sort: Mapped[str | None] = mapped_column(String(200))
    q: Mapped[str | None] = mapped_column(String(200))
    # Whose it is, also of a shared one.
    created_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
