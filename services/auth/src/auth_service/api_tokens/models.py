from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, String, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class ApiToken(Base):
    """A credential of a program that acts for an account; of the token itself there is only a keyed digest."""

    __tablename__ = "api_token"
    __table_args__ = (
        Index("ix_api_token_account_id", "account_id", "id"),
        Index("ix_api_token_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # Whose rights it has.
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    # Who made it: another one for tokens of service accounts, and perhaps gone meanwhile.
    created_by: Mapped[UUID]
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    # The id of the key whose pepper the digest was made with.
    digest_key: Mapped[str] = mapped_column(String(64))
    # The first characters of the random part, by which its owner recognises it.
    prefix: Mapped[str] = mapped_column(String(8))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    # What it may see; None for all that its account may. Not checked: other than narrowing they do nothing.
    workspace_id: Mapped[UUID | None]
    project_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    # Networks in CIDR form that it may be used from; None for all.
    ip_allowlist: Mapped[list[str] | None] = mapped_column(ARRAY(String(49)))
    read_only: Mapped[bool]
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_used_address: Mapped[str | None] = mapped_column(String(45))
    # When a use from outside of the allowed networks was last noted.
    used_elsewhere_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
