"""Who may do what with a file, as pure decisions."""

from uuid import UUID

from attachments_service.locations.schemas import TaskAccess


def can_delete(access: TaskAccess, *, created_by: UUID, user_id: UUID) -> bool:
    """Tell whether the caller may delete a file: who brought it, or who manages the project."""
    return access.can_manage or (access.can_edit and created_by == user_id)
