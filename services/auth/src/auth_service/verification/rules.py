"""Links that are mailed (R11), without any I/O."""

import re
import secrets
from datetime import timedelta
from enum import StrEnum

from auth_service.account_mail.rules import MailKind

TOKEN_BYTES = 32
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class LinkKind(StrEnum):
    """What a link is for."""

    VERIFY_EMAIL = "verify_email"
    CHANGE_EMAIL = "change_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a name, not a password


LIFETIMES = {
    LinkKind.VERIFY_EMAIL: timedelta(hours=24),
    LinkKind.CHANGE_EMAIL: timedelta(hours=24),
    LinkKind.RESET_PASSWORD: timedelta(minutes=10),
}
MAIL_OF = {
    LinkKind.VERIFY_EMAIL: MailKind.VERIFY_EMAIL,
    LinkKind.CHANGE_EMAIL: MailKind.CONFIRM_EMAIL_CHANGE,
    LinkKind.RESET_PASSWORD: MailKind.RESET_PASSWORD,
}
MAILS_PER_HOUR = 5
MAIL_INTERVAL = timedelta(minutes=1)
HOUR = timedelta(hours=1)
USABLE_STATUSES = frozenset({"active", "deactivated", "deleting"})
"""A link works for an account that its owner may use, or take back; taking it back needs the password."""


def new_token() -> str:
    """Return a new random token: 32 bytes in base64url."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def is_token(text: str) -> bool:
    """Tell by its form whether the text can be a token."""
    return TOKEN.fullmatch(text) is not None
