"""Which role somebody has in a task, as the tasks service decides it."""

from attachments_service.locations.schemas import Standing

RANKS = {"viewer": 1, "commenter": 2, "editor": 3, "manager": 4}
"""Of roles in projects."""
EDITORS = frozenset({"editor", "manager"})
MANAGERS = frozenset({"manager"})


def role_in_task(standing: Standing) -> str | None:
    """Return the role in the task: the highest of what the workspace, the project and a share give; None for none."""
    if standing.workspace_role in {"owner", "admin"}:
        return "manager"
    is_open = standing.workspace_role == "member" and not standing.is_private
    given = (standing.member_role if is_open else None, standing.project_role, standing.share_role)
    return max((role for role in given if role is not None), key=RANKS.__getitem__, default=None)
