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


def allows(caller: Principal, action: Action, row: RowMapping) -> bool:
    """Tell whether the caller may do this with the task of a row that has the caller's `role`."""
    return can(caller, action, Held(row["role"], row["workspace_id"], row["project_id"])).allowed


def permissions_of(caller: Principal, row: RowMapping) -> TaskPermissions:
    """Return all that the caller may do with the task."""
    return TaskPermissions.model_validate({name: allows(caller, action, row) for name, action in ACTIONS.items()})
