"""Frames: what goes over the socket, and the codes that it is closed with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from chassis.errors import AppError
from chassis.filtering.judging import Judge
from chassis.outbox.catalogue import removal
from chassis.web.envelope import entry_of

POLICY = 1008
FAILED = 1011
TRY_AGAIN = 1013
EXPIRED = 4410

MEMBER_REMOVED = "member.removed.v1"
REMOVED = ".removed.v1"
PROJECT = "project_id"
ACCESS_LOST = "access_lost"
TASK, PROJECT_KIND = "task", "project"
NAMING = frozenset({"assignee", "watcher"})
"""Kinds of resources that are somebody's part in a task."""
ENDING = frozenset({"member", "project_member", "task_share"})
"""Kinds by which people come and go."""
PURGED = ".purged.v1"
FOR_GOOD = "purged"
GONE: Mapping[str, Any] = {"changes": [], "data": None}
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
class KnownTask:
    """A task as it is known when something happens to it or on it, and who watches it; ids are texts, as in JSON."""

    data: Mapping[str, Any] | None = None
    watchers: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """An event as its readers share it: encoded once, however many they are, and looked at once by each question."""

    stream_id: UUID
    """A workspace, or the user whose own stream it is of."""
    workspace_id: UUID | None
    """The workspace that it is about; None where it is about none, and only in a user's own stream."""
    seq: int
    type: str
    is_personal: bool
    places: tuple[Place, ...]
    """All of them have to be seen: of a relation, those of both tasks."""
    audience: frozenset[UUID]
    removed_user: UUID | None
    """Whose membership of the workspace it ends."""
    told_user: UUID | None
    """The user whom its resource is about, if it is about one."""
    ended_for: UUID | None
    """Whose role or share it ends: who loses access by it is told of that, and of nothing else."""
    loss: Loss | None
    opening: bytes
    told: Mapping[str, Any]
    known: KnownTask | None = None
    """The task that it hangs on; of an event of a task itself that is what it tells."""
    is_looked_up: bool = False
    """Whether the task was asked for: else `known` says nothing."""
    is_forgotten: bool = False
    """Whether what it is about was deleted for good since: then it tells no more than that."""

    @property
    def is_purge(self) -> bool:
        """Whether it tells itself that something is deleted for good."""
        return self.type.endswith(PURGED)

    @property
    def kind(self) -> str:
        """What its type begins with, such as `task`."""
        return self.type.partition(".")[0]

    @cached_property
    def scopes(self) -> frozenset[tuple[str, UUID | None]]:
        """The workspace, projects and tasks that it is of; a project is also that which something has left."""
        places = [*self.places, *([self.loss.place] if self.loss else [])]
        projects = {("project", one.project_id) for one in places if one.project_id is not None}
        tasks = {("task", one.task_id) for one in places if one.task_id is not None}
        return frozenset({("workspace", self.workspace_id), *projects, *tasks})

    @cached_property
    def concerned(self) -> frozenset[str]:
        """Those to whom it is about something of theirs: whose task it is, or was before it, and whom it names."""
        found = {str(one) for one in self.audience} if len(self.audience) == 1 else set()
        told = self.told.get("data") or {}
        task = self.task or {}
        former = self.before or {}
        found.update(task.get("assignees") or (), former.get("assignees") or (), told.get("mentions") or ())
        found.update(str(one) for one in (task.get("created_by"),) if one)
        if self.kind in NAMING:
            found.add(str(told.get("user_id")))
        return frozenset(found) | (self.known.watchers if self.known else frozenset())

    @property
    def released(self) -> frozenset[str]:
        """Those whose task it was until this, as assignees or by what it names."""
        former, now = ((one or {}).get("assignees") or () for one in (self.before, self.task))
        ended = {str(self.ended_for)} if self.kind in NAMING and self.ended_for else set()
        return frozenset(former).difference(now) | ended

    @cached_property
    def task(self) -> Mapping[str, Any] | None:
        """The task that it is about, as far as that is known."""
        own = self.told.get("data") if self.kind == TASK and not self.is_personal else None
        return own or (self.known.data if self.known else None)

    @cached_property
    def before(self) -> Mapping[str, Any] | None:
        """The task before it; None where it does not change one."""
        if self.kind != TASK or self.is_personal or self.task is None:
            return None
        return {**self.task, **{one["field"]: one["old"] for one in self.told.get("changes", ())}}

    @cached_property
    def _judgements(self) -> dict[Judge, bool | None]:
        return {}

    def judged(self, judge: Judge) -> bool | None:
        """Tell whether its task is what a filter asks for: True, or False where it was until this, or None."""
        if judge not in self._judgements:
            self._judgements[judge] = self._judge(judge)
        return self._judgements[judge]

    def _judge(self, judge: Judge) -> bool | None:
        task, before = self.task, self.before
        if task is None:
            return None
        if self.gone is None and judge(task):
            return True
        return False if before is not None and judge(before) else None

    @property
    def gone(self) -> str | None:
        """Why the task that it is about is gone; None of one that is not, and of what only hangs on one."""
        return removal(self.told["type"]).get("removed", {}).get("reason") if self.kind == TASK else None

    @property
    def takes_off(self) -> bool:
        """Whether by it something is deleted that hung on a task."""
        hung = self.kind != TASK and self.places[0].task_id is not None
        return hung and bool(removal(self.told["type"]))

    @cached_property
    def ended(self) -> bytes:
        """Return what is told to the one whose membership it ends."""
        return orjson.dumps({**self.told, **GONE, "removed": {"reason": ACCESS_LOST}})[:-1]

    @property
    def may_end_access(self) -> bool:
        """Whether somebody may see a project or task no more by it, who is not told that in it."""
        return self.kind in ENDING or (self.kind == PROJECT_KIND and self._narrows) or self._is_elsewhere

    @property
    def _narrows(self) -> bool:
        changed = {one["field"] for one in self.told.get("changes", ())}
        return "visibility" in changed or self.is_purge

    @property
    def _is_elsewhere(self) -> bool:
        return self.kind == TASK and (self.loss is not None or self.is_purge)

    def has_left(self, project_id: UUID | None) -> bool:
        """Tell whether by it something has left a project."""
        is_former = self.loss is not None and self.loss.place.project_id == project_id
        return is_former and all(one.project_id != project_id for one in self.places)

    def hidden(self) -> "StoredFrame":
        """Return it as one that nobody is shown: it counts all the same."""
        return replace(self, audience=frozenset())

    def emptied(self) -> "StoredFrame":
        """Return it as one that tells that what it is about is gone for good, and nothing of what that was."""
        return replace(self, opening=orjson.dumps({**self.told, **GONE, "removed": {"reason": FOR_GOOD}})[:-1])

    def forgotten(self) -> "StoredFrame":
        """Return it as one of something that was deleted for good since."""
        return replace(self.emptied(), is_forgotten=True)


class Frame(NamedTuple):
    """What goes to one reader."""

    type: str
    body: bytes
    cursor: str | None = None


def with_cursor(frame: StoredFrame, opening: bytes, cursor: str) -> Frame:
    """Return the whole frame for one reader."""
    return Frame(frame.told["type"], opening + b',"cursor":"' + cursor.encode() + b'"}', cursor)


def without_words(frame: Mapping[str, Any]) -> dict[str, Any]:
    """Return the frame of a comment that is deleted by now without what it said."""
    changes = [one for one in frame["changes"] if one["field"] != WORDS]
    return {**frame, "changes": changes, "data": {**(frame["data"] or {}), WORDS: None}}


def stored_frame(row: Mapping[Any, Any], known: KnownTask | None = None, *, is_looked_up: bool = False) -> StoredFrame:
    """Make the shared part of a frame from its row."""
    frame = row["frame"]
    data = frame.get("data")
    told_user = _uuid(data.get("user_id")) if isinstance(data, dict) else None
    user = told_user if row["type"].endswith(REMOVED) else None
    is_own = is_personal(row)
    return StoredFrame(
        stream_id=row["workspace_id"],
        workspace_id=row["about_workspace_id"] if is_own else row["workspace_id"],
        seq=row["seq"],
        type=row["type"],
        is_personal=is_own,
        places=_places(frame),
        audience=frozenset(row["audience"]),
        removed_user=user if row["type"] == MEMBER_REMOVED else None,
        told_user=told_user,
        ended_for=user,
        loss=None if is_own else _loss(frame, row["lost_by"]),
        opening=orjson.dumps({**frame, **removal(frame["type"])})[:-1],
        told=frame,
        known=known,
        is_looked_up=is_looked_up or "task_id" not in frame or frame["task_id"] is None,
    )


def is_personal(row: Mapping[Any, Any]) -> bool:
    """Tell whether the row of an event is of what one user alone is told."""
    return row["frame"].get("workspace_id", row["workspace_id"]) is None


def _loss(frame: Mapping[str, Any], lost_by: Sequence[UUID] | None) -> Loss | None:
    """Return what is told of something that has left its project, or that somebody lost: that it is gone."""
    former = next((one["old"] for one in frame.get("changes", ()) if one["field"] == PROJECT), None)
    if former is None and not lost_by:
        return None
    project = former or frame.get("project_id")
    gone = {**frame, **GONE, "project_id": project, "removed": {"reason": ACCESS_LOST}}
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


def ready(cursor: str) -> Frame:
    """Return the first frame: everything after `cursor` follows."""
    return _frame("ready", cursor)


def resync_required(cursor: str) -> Frame:
    """Return the last frame to a reader that can't be served further now: go on from `cursor`."""
    return _frame("resync_required", cursor)


def subscription_revoked(kind: str, resource_id: UUID, cursor: str, *, name: str | None = None) -> Frame:
    """Return the frame to a reader that does not see a workspace, project or task any more: nothing of it follows."""
    named = {} if name is None else {"id": name}
    return _frame("subscription_revoked", cursor, **{f"{kind}_id": str(resource_id)}, **named)


def subscribed(name: str | None, cursor: str) -> Frame:
    """Return the answer to a subscription: what fits it and comes after `cursor` follows."""
    return _frame("subscribed", cursor, id=name)


def unsubscribed(name: str | None) -> Frame:
    """Return the answer to a reader that does not want something any more."""
    return Frame("unsubscribed", orjson.dumps({"type": "unsubscribed", "id": name}))


PONG = Frame("pong", b'{"type":"pong"}')


def refused(error: AppError, name: str | None) -> Frame:
    """Return the answer to a message that can't be followed; of several mistakes the first has the code."""
    first = error.details[0]
    told = {"type": "error", "id": name, "code": first.code, "message": first.message}
    return Frame("error", orjson.dumps({**told, "errors": [entry_of(one) for one in error.details]}))


def _frame(kind: str, cursor: str, **told: Any) -> Frame:
    return Frame(kind, orjson.dumps({"type": kind, **told, "cursor": cursor}), cursor)
