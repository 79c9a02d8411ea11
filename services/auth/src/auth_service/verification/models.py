from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class LinkToken(Base):
    """A link that was mailed, by the SHA-256 of its token. It works once."""

    __tablename__ = "link_token"
    __table_args__ = (
        CheckConstraint("kind IN ('verify_email', 'change_email', 'reset_password')", name="kind"),
        Index("ix_link_token_account_id", "account_id"),
        Index("ix_link_token_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    # Where it was mailed to, and thus what it proves.
    email: Mapped[str] = mapped_column(String(254))
    email_canonical: Mapped[str] = mapped_column(String(254))
    # By which it was asked for, and which goes on after it; the link works no longer than that lasts.
    session_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # When it was used, or made useless.
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class MailBudget(Base):
    """When an account was sent mails of one kind, or notices of whatever kind, lately; the oldest first."""

    __tablename__ = "mail_budget"
    __table_args__ = (Index("ix_mail_budget_last_at", "last_at"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    sent_at: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))
    last_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
