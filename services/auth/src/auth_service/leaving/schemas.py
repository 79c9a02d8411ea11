from typing import Any

from auth_service.users.schemas import USER_EXAMPLE

DEACTIVATED_EXAMPLE: dict[str, Any] = {**USER_EXAMPLE, "status": "deactivated", "version": 2}
DELETING_EXAMPLE: dict[str, Any] = {
    **USER_EXAMPLE,
    "status": "deleting",
    "deletes_at": "2026-12-24T09:00:00Z",
    "version": 2,
}
TOMBSTONE_EXAMPLE: dict[str, Any] = {
    **USER_EXAMPLE,
    "status": "deleted",
    "email": None,
    "email_verified": False,
    "display_name": "Deleted user",
    "roles": [],
    "version": 3,
}
