"""What of an event is for somebody: all of it, or that something is gone, or nothing. Without any I/O."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from chassis.identity import Principal

from notifications_service.realtime.protocol import TASK, Place, StoredFrame

PERSONAL_SCOPES = {"notification": "notifications:read", "webhook": "webhooks:manage"}
"""Of an API token that hears of what its user alone is told, by what that begins with; of the rest it hears nothing."""
COMMENT = "comment."


def part_of(frame: StoredFrame, caller: Principal) -> bytes | None:
    """Return what of a frame is for a caller, within the caller's restriction; what is seen now is another question."""
    if not _reaches_stream_of(frame, caller):
        return None
    is_shown = caller.user_id in frame.audience
    if is_shown and all(_reaches(place, caller) for place in frame.places):
        return frame.ended if frame.removed_user == caller.user_id else frame.opening
    loss = frame.loss
    if loss is not None and (is_shown or caller.user_id in loss.readers) and _reaches(loss.place, caller):
        return loss.opening
    return None


def comments_told(rows: Any) -> dict[str, int]:
    """Return the comments that rows of events are about, each with the number of its first event among them."""
    return {row["frame"]["subject"]: row["seq"] for row in reversed(rows) if is_of_comment(row)}


def is_of_comment(row: Mapping[Any, Any]) -> bool:
    """Tell whether the row of an event is about a comment."""
    return bool(row["type"].startswith(COMMENT))


def ids_in(frame: StoredFrame) -> set[UUID]:
    """Return the tasks and projects that a frame is of, as far as its workspace's stream tells of these."""
    return set() if frame.is_personal else {one for place in frame.places for one in place if one is not None}


def without_gone(frame: StoredFrame, gone: AbstractSet[UUID]) -> StoredFrame:
    """Take everything out of a frame of what was deleted for good; the deletion of a task is told with its project."""
    if not frame.is_purge:
        return frame if gone.isdisjoint(ids_in(frame)) else frame.forgotten()
    return frame.emptied() if frame.kind == TASK and frame.places[0].project_id in gone else frame


def _reaches_stream_of(frame: StoredFrame, caller: Principal) -> bool:
    """Tell whether a frame's workspace is within the caller's restriction, and the caller hears of the like.

    What is told to a user alone an API token hears where it could ask for it, and a restricted one in its
    workspaces only.
    """
    if frame.is_personal and not caller.is_session and PERSONAL_SCOPES.get(frame.kind) not in caller.scopes:
        return False
    if frame.workspace_id is None:
        return not caller.is_restricted
    return caller.reaches_workspace(frame.workspace_id)


def _reaches(place: Place, caller: Principal) -> bool:
    """Tell whether the caller's restriction leaves a place; what is in no project is not for some projects only."""
    return caller.reaches_project(place.project_id)
