"""Facts about comments.

Whom a change mentions anew are those in the new `mentions` of its `changes` who are not in the old ones. What a deleted
comment said is in no event of its deletion; the log keeps what was, and whoever shows it leaves out the body of
comments that are deleted now.
"""

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, differences
from tasks_service.comments.schemas import CommentResource

COMMENT_CREATED = "comment.created.v1"
COMMENT_UPDATED = "comment.updated.v1"
COMMENT_DELETED = "comment.deleted.v1"


def comment_changed(event_type: str, before: RowMapping | None, after: RowMapping) -> ChangeDraft:
    """Draft the change between two rows; `before` is None for a new comment."""
    shown = CommentResource.in_event(after).model_dump(mode="json")
    shown_before = None if before is None else CommentResource.in_event(before).model_dump(mode="json")
    changes = [one for one in differences(shown_before, shown) if event_type != COMMENT_DELETED or one.field != "body"]
    return ChangeDraft(
        event_type,
        "comment",
        after["id"],
        after["version"],
        changes,
        shown,
        audience="task",
        project_id=after["project_id"],
        task_id=after["task_id"],
    )
