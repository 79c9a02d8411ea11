"""Facts about reactions."""

from uuid import UUID, uuid5

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, differences
from tasks_service.reactions.schemas import ReactionResource

REACTION_ADDED = "reaction.added.v1"
REACTION_REMOVED = "reaction.removed.v1"


def reaction_added(row: RowMapping, comment: RowMapping) -> ChangeDraft:
    return _draft(REACTION_ADDED, row, comment, version=1)


def reaction_removed(row: RowMapping, comment: RowMapping) -> ChangeDraft:
    return _draft(REACTION_REMOVED, row, comment, version=2)


def _draft(event_type: str, row: RowMapping, comment: RowMapping, *, version: int) -> ChangeDraft:
    shown = {**row, "id": _id_of(row), "task_id": comment["task_id"], "version": version}
    resource = ReactionResource.model_validate(shown).model_dump(mode="json")
    added = event_type == REACTION_ADDED
    return ChangeDraft(
        event_type,
        "reaction",
        shown["id"],
        version,
        differences(None, {"emoji": row["emoji"]}) if added else differences({"emoji": row["emoji"]}, {"emoji": None}),
        resource,
        audience="task",
        project_id=comment["project_id"],
        task_id=comment["task_id"],
    )


def _id_of(row: RowMapping) -> UUID:
    """Return an id that is the same when the reaction is taken back, and another when it is given again."""
    return uuid5(row["comment_id"], f"{row['user_id']} {row['emoji']} {row['created_at'].isoformat()}")
