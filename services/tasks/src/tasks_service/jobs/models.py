from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base

INSTANT = DateTime(timezone=True)


class Job(Base):
    """Work for somebody that takes longer than a request: a worker takes it, and gets on in steps."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_open", "lease_until", "id", postgresql_where=text("finished_at IS NULL")),
        Index("ix_job_created_by", "created_by", "id"),
        Index("ix_job_workspace_id", "workspace_id"),
        Index("ix_job_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    created_by: Mapped[UUID]
    # Everything that it is about is known to be in its workspace.
    is_confined: Mapped[bool]
    # What the credential was restricted to that started it; NULL is all.
    project_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(PG_UUID(as_uuid=True)))
    # As whom it is done: the maker by the credential that started it.
    principal: Mapped[dict[str, Any]] = mapped_column(JSONB)
    request_id: Mapped[str] = mapped_column(String(64))
    traceparent: Mapped[str] = mapped_column(String(64))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # What its steps tell the next ones.
    state: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(String(16))
    total: Mapped[int | None]
    done: Mapped[int]
    failed: Mapped[int]
    result_url: Mapped[str | None] = mapped_column(String(200))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(INSTANT)
    # Nobody else takes it before that.
    lease_until: Mapped[datetime] = mapped_column(INSTANT)
    # Raised by each taking: who comes with an older one is too late.
    fence: Mapped[int] = mapped_column(BigInteger)
    # Failures and takings since it last got on.
    attempts: Mapped[int] = mapped_column(SmallInteger)
    takings: Mapped[int] = mapped_column(SmallInteger)
    told_at: Mapped[datetime] = mapped_column(INSTANT)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(INSTANT)
    started_at: Mapped[datetime | None] = mapped_column(INSTANT)
    finished_at: Mapped[datetime | None] = mapped_column(INSTANT)


class JobItem(Base):
    """One operation of a job, or one thing that it tells, in the order of the request."""

    __tablename__ = "job_item"
    __table_args__ = (
        Index("ix_job_item_job_id", "job_id", "outcome", "index"),
        Index("ix_job_item_workspace_id", "workspace_id"),
    )

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"))
    created_by: Mapped[UUID]
    operation: Mapped[dict[str, Any]] = mapped_column(JSONB)
    outcome: Mapped[str] = mapped_column(String(16))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
