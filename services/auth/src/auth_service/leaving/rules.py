"""Where an account is known by, so that nothing of it is left when it is deleted."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any


class End(StrEnum):
    """Why an account is deleted for good."""

    OF_GRACE = "of_grace"
    """Its owner wanted it, and the time is over in which it could be taken back."""
    UNPROVED = "unproved"
    """Nobody has proved the address, without which nobody could log in."""


UNPROVED_FOR = timedelta(days=7)
"""So long an account waits for the proof of its address."""

OWNERS = frozenset({"account_id", "caller_id", "user_id"})
"""A row with such a column is the account's own."""
ADDRESSES = frozenset({"email", "email_canonical"})
DIGESTS = frozenset({"account_digest"})
"""So is one that knows the account by its address, or by the SHA-256 of its canonical form."""

SPARED: Mapping[str, str] = {
    "account": "stays as a tombstone",
    "audit_event": "stays without what tells of a person",
    "outbox": "goes when it has been sent: `forget_events`",
}
"""Tables whose rows are not simply deleted, and what becomes of them instead."""

TOMBSTONE: Mapping[str, Any] = {
    "status": "deleted",
    "email": None,
    "email_canonical": None,
    "email_verified_at": None,
    "display_name": "Deleted user",
    "timezone": "UTC",
    "locale": None,
    "avatar_url": None,
    "week_start": "monday",
    "default_reminder_time": "09:00",
    "roles": [],
    "password_hash": None,
    "password_reset_required": False,
    "has_second_factor": False,
    "status_before": None,
    "deletes_at": None,
    "deletion_not_before": None,
}
