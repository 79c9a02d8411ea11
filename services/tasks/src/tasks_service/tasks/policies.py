"""What a caller may do with a task that it sees."""

from collections.abc import Mapping

from chassis.identity import Principal
from sqlalchemy import RowMapping

from tasks_service.permissions.policies import can
from tasks_service.permissions.rules import Action
from tasks_service.permissions.schemas import Held
from tasks_service.tasks.schemas import TaskPermissions

ACTIONS: Mapping[str, Action] = {
    "can_edit": "task.edit",
    "can_delete": "task.delete",
    "can_assign": "task.assign",
    "can_comment": "task.comment",
}


def held(caller: Principal, row: RowMapping) -> Held:
    """Return what a caller has in the task of a row, which is its own when it is assigned to it."""
    return Held(row["role"], row["workspace_id"], row["project_id"], is_own=caller.user_id in row["assignees"])


def permissions_of(caller: Principal, row: RowMapping) -> TaskPermissions:
    """Return all that the caller may do with the task; with one of an archived project, that is nothing."""
    mine = held(caller, row)
    return TaskPermissions.model_validate(
        {name: not row["is_archived"] and can(caller, action, mine).allowed for name, action in ACTIONS.items()}
    )
