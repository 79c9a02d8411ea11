from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class MailRequest(Base):
    """Something asked for an address, known or not; a job finds out what there is to do, and deletes it."""

    __tablename__ = "mail_request"

    # Version 7: requests are done in the order of their ids.
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    email: Mapped[str] = mapped_column(String(254))
    email_canonical: Mapped[str] = mapped_column(String(254))
    # Of somebody who signs up.
    display_name: Mapped[str | None] = mapped_column(String(100))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    not_before: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    attempts: Mapped[int] = mapped_column(SmallInteger)
    # The request by which it was asked, for the audit and the events.
    request_id: Mapped[str] = mapped_column(String(64))
    traceparent: Mapped[str] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(45))
    device: Mapped[str | None] = mapped_column(String(256))
