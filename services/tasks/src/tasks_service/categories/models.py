from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Category(Base):
    """What a task is about: one a task."""

    __tablename__ = "category"
    __table_args__ = (UniqueConstraint("workspace_id", "owner_id", "name_key", postgresql_nulls_not_distinct=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    # Set for a personal one, which nobody else sees.
    owner_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(String(100))
    # The name as it is compared: NFKC, casefolded.
    name_key: Mapped[str] = mapped_column(String(400))
    color: Mapped[str | None] = mapped_column(String(7))
    created_by: Mapped[UUID]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
