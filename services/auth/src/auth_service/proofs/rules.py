"""Tickets of logins that wait for a second factor."""

import hashlib
from datetime import timedelta

from chassis.secret_tokens import TokenForm

MFA_TOKEN = TokenForm("tlm_mfa_", 43)
TICKET_LIFE = timedelta(minutes=5)


def password_digest(encoded: str | None) -> bytes:
    """Return what a ticket keeps of the password that was right: a digest of its stored hash."""
    return hashlib.sha256((encoded or "").encode()).digest()
