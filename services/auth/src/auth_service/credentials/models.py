from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class LoginFailure(Base):
    """Failed logins of one account from one network; the account by a digest, known or not."""

    __tablename__ = "login_failure"
    __table_args__ = (Index("ix_login_failure_last_at", "last_at"),)

    account_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    network: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    blocked_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class AddressFailures(Base):
    """The last failed logins from one address, whatever the account: as many as it may have, the oldest first."""

    __tablename__ = "address_failures"
    __table_args__ = (Index("ix_address_failures_last_at", "last_at"),)

    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    failed_at: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))
    last_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class AccountFailures(Base):
    """Failed logins of one account in a row, from wherever; the account by a digest, known or not."""

    __tablename__ = "account_failures"
    __table_args__ = (Index("ix_account_failures_last_at", "last_at"),)

    account_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    failures: Mapped[int]
    # Since then only known networks may log in.
    blocked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class KnownNetwork(Base):
    """A network from which an account has logged in."""

    __tablename__ = "known_network"
    __table_args__ = (Index("ix_known_network_last_at", "last_at"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    network: Mapped[str] = mapped_column(String(64), primary_key=True)
    last_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
