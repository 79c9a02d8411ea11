"""Facts about labels; names.events makes those about labels themselves."""

from typing import Literal

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, FieldChange, derived_id
from tasks_service.labels.schemas import PersonalLabelResource

LABEL_CREATED = "label.created.v1"
LABEL_UPDATED = "label.updated.v1"
LABEL_DELETED = "label.deleted.v1"
PERSONAL_LABEL_ADDED = "personal_label.added.v1"
PERSONAL_LABEL_REMOVED = "personal_label.removed.v1"


def personal_label_changed(row: RowMapping, verb: Literal["added", "removed"]) -> ChangeDraft:
    """Draft that somebody put a label of their own on a task, or took it off."""
    shown = {name: row[name] for name in PersonalLabelResource.model_fields if name != "id"}
    one = derived_id("personal_label", row["task_id"], row["label_id"])
    resource = PersonalLabelResource(id=one, **shown)
    is_there = verb == "added"
    return ChangeDraft(
        PERSONAL_LABEL_ADDED if is_there else PERSONAL_LABEL_REMOVED,
        "personal_label",
        one,
        1,
        [FieldChange("is_there", old=not is_there, new=is_there)],
        resource.model_dump(mode="json"),
        audience=frozenset({row["user_id"]}),
        project_id=row["project_id"],
        task_id=row["task_id"],
    )
