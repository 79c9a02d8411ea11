from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class ImportSource(Base):
    """What was made of something in a file: whoever brings it again makes nothing."""

    __tablename__ = "import_source"
    __table_args__ = (Index("ix_import_source_target_id", "target_id"),)

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    target_id: Mapped[UUID]
    # Whether it was made by the import, or was there and is taken for it.
    is_made: Mapped[bool]


class ImportSeen(Base):
    """What a job has read in its file and made nothing of: in a dry run, and to tell equal rows apart."""

    __tablename__ = "import_seen"
    __table_args__ = (Index("ix_import_seen_workspace_id", "workspace_id"),)

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    created_by: Mapped[UUID]
    times: Mapped[int]
    # What others in the file have to know of it.
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
