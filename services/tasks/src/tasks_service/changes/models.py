from typing import Any
from uuid import UUID

from chassis.outbox.models import RelayedMixin
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class ChangeCounter(Base):
    """The last sequence number given out in a workspace; its row lock makes commit order sequence order."""

    __tablename__ = "change_counter"

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"), primary_key=True)
    last_seq: Mapped[int] = mapped_column(BigInteger)


class Change(RelayedMixin, Base):
    """One change of one resource: history, delta feed and outbox in one row."""

    __tablename__ = "change"
    __table_args__ = (
        Index("ix_change_entity_id", "entity_id", "version"),
        Index("ix_change_task_id", "task_id", "seq", postgresql_where=text("task_id IS NOT NULL")),
        Index(
            "ix_change_related_task_id",
            "related_task_id",
            "seq",
            postgresql_where=text("related_task_id IS NOT NULL"),
        ),
        Index("ix_change_request_id", "request_id"),
        Index("ix_change_unsent", "workspace_id", "seq", postgresql_where=text("state = 'new'")),
        Index(
            "ix_change_member_removed",
            "workspace_id",
            "seq",
            postgresql_where=text("type = 'member.removed.v1'"),
        ),
        CheckConstraint("seq >= 1", name="seq"),
    )

    workspace_id: Mapped[UUID] = mapped_column(ForeignKey("workspace.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    entity_type: Mapped[str] = mapped_column(String(32))
    entity_id: Mapped[UUID]
    project_id: Mapped[UUID | None]
    # The task that it is about: of a task itself, and of all that hangs on one.
    task_id: Mapped[UUID | None]
    # The other task, of what is between two.
    related_task_id: Mapped[UUID | None]
    version: Mapped[int]
    actor: Mapped[dict[str, Any]] = mapped_column(JSONB)
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    # The whole resource after the change, as the API shows it.
    resource: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # Who may see the change: the members at the moment of the commit.
    audience: Mapped[list[UUID]] = mapped_column(ARRAY(PG_UUID(as_uuid=True)))
    # Who saw it before the change and does not any more: they are told that, and nothing else.
    lost_by: Mapped[list[UUID] | None] = mapped_column(ARRAY(PG_UUID(as_uuid=True)))
    # Whether nobody is to be notified of it.
    quiet: Mapped[bool | None]
    request_id: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(String(500))
