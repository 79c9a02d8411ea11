from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from notifications_service.emails.rules import EmailState, Subject


class UnsubscribedOut(BaseModel):
    """What is told by mail no more."""

    subject: Subject = Field(description="A kind of notification, `*` for all of them, or `digest`.")
    unsubscribed: Literal[True]


class ChannelOut(BaseModel):
    """How one channel reaches you."""

    channel: Literal["inbox", "email"]
    state: EmailState = Field(
        description="`on`; `disabled` since the mail server refused the address for good; `unverified`; or `unknown` "
        "for a moment, before your account is known here."
    )
    address: str | None = Field(description="Where mail goes, or would; null for the inbox.")
    disabled_reason: str | None = Field(description="What the mail server answered, such as `recipient_550`.")
    disabled_at: datetime | None


UNSUBSCRIBED_EXAMPLE: dict[str, Any] = {"subject": "commented", "unsubscribed": True}
EMAIL_ON_EXAMPLE: dict[str, Any] = {
    "channel": "email",
    "state": "on",
    "address": "ada@example.com",
    "disabled_reason": None,
    "disabled_at": None,
}
INBOX_EXAMPLE: dict[str, Any] = {**EMAIL_ON_EXAMPLE, "channel": "inbox", "address": None}
EMAIL_DISABLED_EXAMPLE: dict[str, Any] = {
    **EMAIL_ON_EXAMPLE,
    "state": "disabled",
    "disabled_reason": "recipient_550",
    "disabled_at": "2026-11-24T09:00:00Z",
}
