from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class PurgedWorkspace(Base):
    """A workspace that was deleted for good, with its log: nothing else says what became of it."""

    __tablename__ = "purged_workspace"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    purged_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
