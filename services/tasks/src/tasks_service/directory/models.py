from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tasks_service.db import Base


class Person(Base):
    """Somebody whom auth knows, as its events tell: for showing names. Of who has left only the id is kept."""

    __tablename__ = "person"
    __table_args__ = (
        Index("ix_person_email_canonical", "email_canonical"),
        CheckConstraint("kind IN ('human', 'service')", name="kind"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    display_name: Mapped[str | None] = mapped_column(String(200))
    avatar_url: Mapped[str | None] = mapped_column(String(2048))
    # Compared with the address of an invitation, and shown to nobody.
    email_canonical: Mapped[str | None] = mapped_column(String(320))
    email_verified: Mapped[bool]
    kind: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    timezone: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[int]
