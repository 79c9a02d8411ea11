"""Facts about what assignees say of tasks; who they are is told by the tasks."""

from sqlalchemy import RowMapping

from tasks_service.assignees.rules import State
from tasks_service.assignees.schemas import AssigneeResource, resource_of
from tasks_service.changes.schemas import ChangeDraft, FieldChange

ASSIGNEE_UPDATED = "assignee.updated.v1"


def assignee_updated(row: RowMapping, task: RowMapping, *, was: State) -> ChangeDraft:
    """Draft a change of an assignee's state."""
    resource = AssigneeResource.model_validate(resource_of(row, task))
    return ChangeDraft(
        ASSIGNEE_UPDATED,
        "assignee",
        resource.id,
        1,
        [FieldChange("state", was, row["state"])],
        resource.model_dump(mode="json"),
        audience="task",
        project_id=task["project_id"],
        task_id=task["id"],
    )
