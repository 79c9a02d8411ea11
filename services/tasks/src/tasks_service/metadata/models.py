from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, ForeignKeyConstraint, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class MetadataNamespace(Base):
    """Whose a namespace is in a workspace: of the account that used it first."""

    __tablename__ = "metadata_namespace"

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"), primary_key=True)
    namespace: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class TaskMetadata(Base):
    """What an app keeps with a task."""

    __tablename__ = "task_metadata"
    __table_args__ = (
        ForeignKeyConstraint(
            ["workspace_id", "namespace"],
            ["metadata_namespace.workspace_id", "metadata_namespace.namespace"],
        ),
    )

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    namespace: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner_id: Mapped[UUID]
    shared: Mapped[bool]
    value: Mapped[dict[str, Any]] = mapped_column(JSONB)
    version: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
