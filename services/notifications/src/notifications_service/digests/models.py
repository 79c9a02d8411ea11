from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class DigestSlot(Base):
    """A local day or week of somebody: what its digest tells, if there was anything to tell. There is one of each."""

    __tablename__ = "digest_slot"
    __table_args__ = (UniqueConstraint("user_id", "period_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    # The day, such as 2026-11-26, or the week, such as 2026-W48.
    period_key: Mapped[str] = mapped_column(String(16))
    notification_ids: Mapped[list[UUID]] = mapped_column(ARRAY(PG_UUID(as_uuid=True)))
    # How many more there were.
    rest: Mapped[int]
    # Up to which notification of theirs this looked; the next one begins after it.
    until_seq: Mapped[int] = mapped_column(BigInteger)
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    made_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
