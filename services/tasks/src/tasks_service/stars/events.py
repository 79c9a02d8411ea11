"""Facts about stars, which are for those alone who gave them."""

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, FieldChange
from tasks_service.stars.schemas import StarOut

STAR_ADDED = "star.added.v1"
STAR_REMOVED = "star.removed.v1"


def star_added(row: RowMapping, task: RowMapping) -> ChangeDraft:
    """Draft a new star."""
    return _draft(STAR_ADDED, row, task, FieldChange("is_starred", old=False, new=True))


def star_removed(row: RowMapping, task: RowMapping) -> ChangeDraft:
    """Draft the end of a star."""
    return _draft(STAR_REMOVED, row, task, FieldChange("is_starred", old=True, new=False))


def _draft(event_type: str, row: RowMapping, task: RowMapping, change: FieldChange) -> ChangeDraft:
    star = StarOut.of(row, task)
    return ChangeDraft(
        event_type,
        "star",
        star.id,
        1,
        [change],
        star.model_dump(mode="json"),
        audience=frozenset({star.user_id}),
        project_id=task["project_id"],
        task_id=task["id"],
    )
