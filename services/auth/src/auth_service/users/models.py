from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, String, false, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base

# The words of name and address, by which accounts are found; spelt as PostgreSQL spells it.
WORDS = (
    "to_tsvector('simple'::regconfig, regexp_replace((display_name::text || ' '::text) || "
    "COALESCE(email_canonical, ''::character varying)::text, '[!-/:-@[-`{-~]+'::text, ' '::text, 'g'::text))"
)


class Account(Base):
    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("kind IN ('human', 'service')", name="kind"),
        CheckConstraint("status IN ('active', 'deactivated', 'disabled', 'deleting', 'deleted')", name="status"),
        CheckConstraint("week_start IN ('monday', 'sunday', 'saturday')", name="week_start"),
        Index("ix_account_deletes_at", "deletes_at", postgresql_where=text("deletes_at IS NOT NULL")),
        Index("ix_account_unproved", "created_at", postgresql_where=text("email_verified_at IS NULL")),
        Index("ix_account_deleted", "updated_at", postgresql_where=text("status = 'deleted'")),
        Index("ix_account_words", text(WORDS), postgresql_using="gin"),
        Index("ix_account_admins", "id", postgresql_where=text("'admin' = ANY (roles)")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), server_default="human")
    status: Mapped[str] = mapped_column(String(12), server_default="active")
    # Every person has an address; service accounts and tombstones have none.
    email: Mapped[str | None] = mapped_column(String(254))
    # Lower-case local part at the ASCII form of the domain: what makes two addresses the same.
    email_canonical: Mapped[str | None] = mapped_column(String(254), unique=True)
    email_verified_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    display_name: Mapped[str] = mapped_column(String(100))
    timezone: Mapped[str] = mapped_column(String(64))
    locale: Mapped[str | None] = mapped_column(String(35))
    avatar_url: Mapped[str | None] = mapped_column(String(2048))
    week_start: Mapped[str] = mapped_column(String(8), server_default="monday")
    # When somebody is reminded on a day without a time: HH:MM in the account's own zone.
    default_reminder_time: Mapped[str] = mapped_column(String(5), server_default="09:00")
    roles: Mapped[list[str]] = mapped_column(ARRAY(String(16)))
    # None for accounts that are entered by a passkey or an identity provider only, or not at all.
    password_hash: Mapped[str | None] = mapped_column(String(255))
    password_reset_required: Mapped[bool] = mapped_column(server_default=false())
    # Whether a TOTP generator or a passkey is set up: kept here, so that a login learns it with the account.
    has_second_factor: Mapped[bool] = mapped_column(server_default=false())
    # What a disabled account was before, and is again when it is enabled.
    status_before: Mapped[str | None] = mapped_column(String(12))
    # When the account is deleted for good; its owner can take it back until then.
    deletes_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # A deletion that failed is tried again from then on.
    deletion_not_before: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
