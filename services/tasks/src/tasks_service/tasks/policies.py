"""Who may do what with a task, as pure decisions on the caller's role in its workspace."""

EDITORS = frozenset({"owner", "admin", "member"})


def can_edit(role: str) -> bool:
    """Tell whether a member with this role may create, change and delete tasks."""
    return role in EDITORS
