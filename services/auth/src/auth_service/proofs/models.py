from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class LoginTicket(Base):
    """A login whose first proof was right and whose second factor is still to come; the ticket by its SHA-256."""

    __tablename__ = "login_ticket"
    __table_args__ = (Index("ix_login_ticket_expires_at", "expires_at"),)

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    # By what the first proof was: a password, or an identity provider.
    method: Mapped[str] = mapped_column(String(16), server_default="password")
    # SHA-256 of the stored hash of the password: another password voids the ticket.
    password_digest: Mapped[bytes] = mapped_column(LargeBinary)
    challenge_id: Mapped[UUID | None]
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
