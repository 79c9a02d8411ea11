from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class OidcFlow(Base):
    """A login or a link that has begun at a provider; completed once, or never."""

    __tablename__ = "oidc_flow"
    __table_args__ = (
        CheckConstraint("(account_id IS NULL) = (session_id IS NULL)", name="starter"),
        Index("ix_oidc_flow_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    state_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    # Of what only whoever began it has, so that nobody completes another's flow.
    flow_token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    provider: Mapped[str] = mapped_column(String(32))
    redirect_uri: Mapped[str] = mapped_column(String(2000))
    # Who began to link; nobody in a login.
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    session_id: Mapped[UUID | None]
    verifier_sealed: Mapped[str] = mapped_column(String(255))
    nonce_sealed: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class OidcIdentity(Base):
    """Somebody at a provider, and the account that they may enter."""

    __tablename__ = "oidc_identity"
    __table_args__ = (
        UniqueConstraint("provider", "issuer", "subject", name="uq_oidc_identity_subject"),
        Index("ix_oidc_identity_account_id", "account_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    provider: Mapped[str] = mapped_column(String(32))
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    # As the provider last named it, for its owner to recognise; it decides nothing.
    shown_email: Mapped[str | None] = mapped_column(String(254))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class OidcUnlinked(Base):
    """Somebody at a provider whom an account has shut out: only its owner lets them in again, by linking them."""

    __tablename__ = "oidc_unlinked"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(String(32), primary_key=True)
    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    unlinked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
