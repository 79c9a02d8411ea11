"""What becomes of somebody who is gone."""

DELETED = "deleted"
DELETED_NAME = "Deleted user"
"""What a tombstone is shown as: nothing else is known of it."""
