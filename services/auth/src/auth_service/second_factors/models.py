from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, LargeBinary, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class Totp(Base):
    """A generator of one-time codes (RFC 6238); it counts once a first code of it was shown."""

    __tablename__ = "totp"
    __table_args__ = (Index("ix_totp_pending", "created_at", postgresql_where=text("confirmed_at IS NULL")),)

    # Replaced with the seed, which is sealed for it.
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), unique=True)
    secret_sealed: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    confirmed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # Steps of 30 s since 1970: no code of this one or an earlier one is taken any more.
    last_step: Mapped[int | None] = mapped_column(BigInteger)


class RecoveryCode(Base):
    """A code for who has lost the generator, by its SHA-256."""

    __tablename__ = "recovery_code"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class OtpTries(Base):
    """How many codes were tried on an account since when; gone after a right one."""

    __tablename__ = "otp_tries"
    __table_args__ = (Index("ix_otp_tries_began_at", "began_at"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    tries: Mapped[int] = mapped_column(SmallInteger)
    began_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
