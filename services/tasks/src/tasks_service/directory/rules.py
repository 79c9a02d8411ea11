"""What the directory knows of accounts: whether somebody can log in, and what becomes of who is gone."""

ACTIVE, DELETED = "active", "deleted"
DELETED_NAME = "Deleted user"
"""What a tombstone is shown as: nothing else is known of it."""


def can_log_in(status: str | None) -> bool:
    """Tell whether an account of this status can be logged in to; one that is not known yet can."""
    return status in {None, ACTIVE}
