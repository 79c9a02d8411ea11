"""Frames: what goes over the socket, and the codes that it is closed with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

import orjson

POLICY = 1008
FAILED = 1011
TRY_AGAIN = 1013
EXPIRED = 4410

MEMBER_REMOVED = "member.removed.v1"
REMOVED = ".removed.v1"
PROJECT = "project_id"
ACCESS_LOST = "access_lost"
WORDS = "body"
"""Of comments."""


class Place(NamedTuple):
    """Where something is that a frame tells of, as far as that is in a project, or hangs on a task."""

    project_id: UUID | None
    task_id: UUID | None


@dataclass(frozen=True, slots=True)
class Loss:
    """What a frame is to who saw something before it, and does not where it is now."""

    place: Place
    """Where it was."""
    readers: frozenset[UUID]
    """Who lost sight of it; a token that does not reach where it is now has lost it, too."""
    opening: bytes


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """An event as its readers share it: encoded once, however many they are."""

    stream_id: UUID
    """A workspace, or the user whose own stream it is of."""
    workspace_id: UUID | None
    """The workspace that it is about; None where it is about none, and only in a user's own stream."""
    seq: int
    kind: str
    """What its type begins with, such as `task`."""
    is_personal: bool
    places: tuple[Place, ...]
    """All of them have to be seen: of a relation, those of both tasks."""
    audience: frozenset[UUID]
    removed_user: UUID | None
    """Whose membership of the workspace it ends."""
    ended_for: UUID | None
    """Whose role or share it ends: who loses access by it is told of that, and of nothing else."""
    loss: Loss | None
    opening: bytes

    def hidden(self) -> "StoredFrame":
        """Return it as one that nobody is shown: it counts all the same."""
        return replace(self, audience=frozenset())


def with_cursor(opening: bytes, cursor: str) -> bytes:
    """Return the whole frame for one reader."""
    return opening + b',"cursor":"' + cursor.encode() + b'"}'


def without_words(frame: Mapping[str, Any]) -> dict[str, Any]:
    """Return the frame of a comment that is deleted by now without what it said."""
    changes = [one for one in frame["changes"] if one["field"] != WORDS]
    return {**frame, "changes": changes, "data": {**(frame["data"] or {}), WORDS: None}}


def stored_frame(row: Mapping[Any, Any]) -> StoredFrame:
    """Make the shared part of a frame from its row."""
    frame = row["frame"]
    user = _uuid((frame.get("data") or {}).get("user_id")) if row["type"].endswith(REMOVED) else None
    is_personal = frame.get("workspace_id", row["workspace_id"]) is None
    return StoredFrame(
        stream_id=row["workspace_id"],
        workspace_id=row["about_workspace_id"] if is_personal else row["workspace_id"],
        seq=row["seq"],
        kind=row["type"].partition(".")[0],
        is_personal=is_personal,
        places=_places(frame),
        audience=frozenset(row["audience"]),
        removed_user=user if row["type"] == MEMBER_REMOVED else None,
        ended_for=user,
        loss=None if is_personal else _loss(frame, row["lost_by"]),
        opening=orjson.dumps(frame)[:-1],
    )


def _loss(frame: Mapping[str, Any], lost_by: Sequence[UUID] | None) -> Loss | None:
    """Return what is told of something that has left its project, or that somebody lost: that it is gone."""
    former = next((one["old"] for one in frame.get("changes", ()) if one["field"] == PROJECT), None)
    if former is None and not lost_by:
        return None
    project = former or frame.get("project_id")
    gone = {**frame, "project_id": project, "changes": [], "data": None, "removed": {"reason": ACCESS_LOST}}
    return Loss(
        place=Place(_uuid(project), _uuid(frame.get("task_id"))),
        readers=frozenset(lost_by or ()),
        opening=orjson.dumps(gone)[:-1],
    )


def _places(frame: Mapping[str, Any]) -> tuple[Place, ...]:
    own = Place(_uuid(frame.get("project_id")), _uuid(frame.get("task_id")))
    told = frame.get("data") or {}
    ends = [
        Place(_uuid(told[f"{end}_project_id"]), _uuid(told[f"{end}_task_id"]))
        for end in ("from", "to")
        if f"{end}_project_id" in told
    ]
    return (own, *(one for one in ends if one != own))


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def ready(cursor: str) -> bytes:
    """Return the first frame: everything after `cursor` follows."""
    return orjson.dumps({"type": "ready", "cursor": cursor})


def resync_required(cursor: str) -> bytes:
    """Return the last frame to a reader that can't be served further now: go on from `cursor`."""
    return orjson.dumps({"type": "resync_required", "cursor": cursor})


def subscription_revoked(workspace_id: UUID, cursor: str) -> bytes:
    """Return the frame to a reader that is no member any more: nothing of the workspace follows."""
    return orjson.dumps({"type": "subscription_revoked", "workspace_id": str(workspace_id), "cursor": cursor})


def answer_to(text: str | bytes) -> bytes:
    """Return the answer to a client's frame."""
    message = _decoded(text)
    if isinstance(message, dict) and message.get("type") == "ping":
        return b'{"type":"pong"}'
    return orjson.dumps({"type": "error", "code": "UNKNOWN_MESSAGE", "message": 'Send {"type":"ping"} or nothing.'})


def _decoded(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
