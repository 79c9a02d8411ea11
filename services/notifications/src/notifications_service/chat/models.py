from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, String, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class ChatConnection(Base):
    """An incoming webhook of a chat: a user's own for notifications, or a workspace's or project's for its events.

    Who knows the URL can post there, so that is sealed.
    """

    __tablename__ = "chat_connection"
    __table_args__ = (
        Index("ix_chat_connection_owner_id", "owner_id"),
        Index("ix_chat_connection_workspace_id", "workspace_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # Whose it is; of a workspace or project, who made it, and as whom it reads.
    owner_id: Mapped[UUID]
    scope: Mapped[str] = mapped_column(String(16))
    workspace_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(16))
    url_sealed: Mapped[str] = mapped_column(Text)
    # What is shown of the URL.
    host: Mapped[str] = mapped_column(String(255))
    # Kinds of notifications for a user's own; None is all that the user's preferences give.
    kinds: Mapped[list[str] | None] = mapped_column(ARRAY(String(64)))
    # Types of events, with wildcards, for a workspace's or project's.
    events: Mapped[list[str] | None] = mapped_column(ARRAY(String(100)))
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None] = mapped_column(String(64))
    # The last event of its workspace that was here when it was made.
    begins_after: Mapped[int | None] = mapped_column(BigInteger)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
