from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from auth_service.account_mail.rules import MailKind


class AccountMailResource(BaseModel):
    """A mail to send about an account, with all that its text needs. The token of its link is sealed.

    `address` and `device` are where the request came from, in mails by which an owner can tell a stranger's.
    """

    id: UUID
    user_id: UUID
    kind: MailKind
    to: str
    display_name: str
    locale: str | None
    timezone: str
    token_sealed: str | None
    expires_at: datetime | None
    details: dict[str, str]
    address: str | None
    device: str | None
    requested_at: datetime


ACCOUNT_MAIL_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-5e02-7c00-8d1a-3e8f5b9c2d11",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "kind": "verify_email",
    "to": "ada@example.com",
    "display_name": "Ada",
    "locale": None,
    "timezone": "UTC",
    "token_sealed": "v1.k1.q83vASNFZ4mrze8B3q2-78r-ur4AESIzRFVmd4iZqrvM3e7_",
    "expires_at": "2026-11-25T09:00:00Z",
    "details": {},
    "address": None,
    "device": None,
    "requested_at": "2026-11-24T09:00:00Z",
}
