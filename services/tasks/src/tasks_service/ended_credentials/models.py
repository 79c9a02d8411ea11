from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class EndedCredential(Base):
    """A session or an API token that opens nothing any more: what it has started is not gone on with."""

    __tablename__ = "ended_credential"
    __table_args__ = (Index("ix_ended_credential_ended_at", "ended_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
