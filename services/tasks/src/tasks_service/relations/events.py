"""Facts about relations."""

from uuid import UUID

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, FieldChange
from tasks_service.relations.schemas import RelationResource

RELATION_CREATED = "relation.created.v1"
RELATION_DELETED = "relation.deleted.v1"


def relation_changed(
    event_type: str, row: RowMapping, *, task: RowMapping, other: RowMapping, audience: frozenset[UUID]
) -> ChangeDraft:
    """Draft that a relation was made, or is gone; `task` is the end from which that was done."""
    projects = {one["id"]: one["project_id"] for one in (task, other)}
    places = {"from_project_id": projects[row["from_task_id"]], "to_project_id": projects[row["to_task_id"]]}
    resource = RelationResource.model_validate({**row, **places}).model_dump(mode="json")
    is_new = event_type == RELATION_CREATED
    told = ("type", "from_task_id", "to_task_id")
    changes = [
        FieldChange(name, None if is_new else resource[name], resource[name] if is_new else None) for name in told
    ]
    return ChangeDraft(
        event_type,
        "relation",
        row["id"],
        1 if is_new else 2,
        changes,
        resource,
        audience=audience,
        project_id=task["project_id"],
        task_id=task["id"],
        related_task_id=other["id"],
    )
