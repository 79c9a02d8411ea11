from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class FilePart(Base):
    """A piece of a file, which is its maker's alone: what a job writes, or reads."""

    __tablename__ = "file_part"
    __table_args__ = (
        Index("ix_file_part_created_at", "created_at"),
        Index("ix_file_part_workspace_id", "workspace_id"),
    )

    file_id: Mapped[UUID] = mapped_column(primary_key=True)
    first_byte: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    created_by: Mapped[UUID]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
