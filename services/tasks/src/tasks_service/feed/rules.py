"""Pure rules of the feed: which events are meant, how far is looked at once, and what a reader is shown of a change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from chassis.clock import rfc3339
from chassis.errors import ErrorDetail
from chassis.identity import Principal
from chassis.outbox.catalogue import removal
from chassis.text import closest, hint_at

from tasks_service.feed.errors import UnknownEvent
from tasks_service.permissions.rules import ADMINS, RULES
from tasks_service.registry import CHANGES

MAX_CHANGES = 500
LOOKED_AT = 5000
"""How many entries of the log are looked at in one request, whatever they are."""
MAX_TYPES = 50
MAX_TYPE_CHARACTERS = 65
TYPES: Mapping[str, str] = {one.name: one.type for one in CHANGES}
"""What types of events are called, and what the log has for it."""
PATTERNS = sorted({*TYPES, "*", *(f"{name.partition('.')[0]}.*" for name in TYPES)})

ACCESS_LOST = "access_lost"
PURGED = "purged"
MEMBER_REMOVED = "member.removed.v1"
TASK_PURGED = "task.purged.v1"
PROJECT_PURGED = "project.purged.v1"
OWN_ENDS = frozenset({"project_member.removed.v1", "task_share.removed.v1"})
WORDS = "body"
"""What a comment says: it goes with the comment."""
SEEN_BY: Mapping[str, Iterable[str]] = {
    "member": RULES["workspace.list_members"].roles,
    "filter": RULES["filter.read"].roles,
    "invitation": ADMINS,
}
"""Of what is in no project, what not every member of the workspace sees; whose own it is always does."""

Row = Mapping[Any, Any]


def types_meant(patterns: Sequence[str]) -> list[str] | None:
    """Return the types of the log that patterns mean; None for all. Raises UnknownEvent, with the closest."""
    if not patterns or "*" in patterns:
        return None
    found = {pattern: [kind for name, kind in TYPES.items() if _fits(name, pattern)] for pattern in patterns}
    unknown = [pattern for pattern, kinds in found.items() if not kinds]
    if unknown:
        hints = {one: hint_at(closest(one, PATTERNS)) for one in unknown}
        raise UnknownEvent(
            details=[ErrorDetail(UnknownEvent.code, UnknownEvent.message, "types", hint=hints[one]) for one in unknown]
        )
    return sorted({kind for kinds in found.values() for kind in kinds})


def _fits(name: str, pattern: str) -> bool:
    words, wanted = name.split("."), pattern.split(".")
    return len(words) == len(wanted) and all(one in ("*", word) for word, one in zip(words, wanted, strict=True))


class Window(NamedTuple):
    """A part of a workspace's log: what comes after one number, up to another."""

    workspace_id: UUID
    after: int
    until: int


def windows_of(positions: Mapping[UUID, int], heads: Mapping[UUID, int], *, most: int = LOOKED_AT) -> list[Window]:
    """Return what is to be looked at between positions and heads, by workspace, until that is enough.

    Numbers are without gaps, so they tell how many entries there are.
    """
    found = []
    for workspace_id in sorted(positions):
        after = positions[workspace_id]
        until = min(heads[workspace_id], after + most)
        if until > after:
            found.append(Window(workspace_id, after, until))
            most -= until - after
        if most == 0:
            break
    return found


class Place(NamedTuple):
    """What a reader has to see, to be shown what is there."""

    project_id: UUID | None
    task_id: UUID | None


class TaskSight(NamedTuple):
    """Where a task is now, and whether the reader sees it; in a project that is in the trash nobody does."""

    project_id: UUID
    is_seen: bool
    in_trashed_project: bool


@dataclass(frozen=True, slots=True)
class View:
    """What a reader sees now: its role in each workspace, its projects as far as asked, and tasks that there are."""

    caller: Principal
    roles: Mapping[UUID, str]
    projects: Mapping[UUID, str]
    """`live`, `trashed` or `purged`: those that the reader would see were they live."""
    tasks: Mapping[UUID, TaskSight]

    def sees(self, place: Place) -> bool:
        """Tell whether the reader sees a place now."""
        is_live = self.projects.get(place.project_id) == "live" if place.project_id else False
        if place.task_id is None:
            return is_live
        task = self.tasks.get(place.task_id)
        return task is not None and task.is_seen and (is_live or task.project_id == place.project_id)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a reader is shown of a change: all of it, that something is gone (`reason`), or nothing.

    `unless_later` tells that it is gone only where the log has nothing later for the reader of the same thing.
    """

    is_whole: bool = False
    reason: str | None = None
    project_id: UUID | None = None
    unless_later: bool = False


NOTHING, WHOLE = Shown(), Shown(is_whole=True)


def places_of(row: Row) -> list[Place]:
    """Return what has to be seen to be shown a change; of what is between two tasks, both."""
    if row["project_id"] is None:
        return []
    told = row["resource"]
    ends = [
        Place(UUID(told[f"{end}_project_id"]), UUID(told[f"{end}_task_id"]))
        for end in ("from", "to")
        if f"{end}_project_id" in told
    ]
    return [Place(row["project_id"], row["task_id"]), *ends]


def former_project(row: Row) -> UUID | None:
    """Return the project that a change has taken something out of."""
    found = next((one["old"] for one in row["changes"] if one["field"] == "project_id"), None)
    return UUID(found) if found else None


def shown_of(row: Row, view: View) -> Shown:
    """Decide what a reader is shown of a change that was for it (`is_shown`) or took something from it."""
    if not row["is_shown"]:
        return _lost(view, former_project(row) or row["project_id"])
    if _is_seen(row, view):
        return WHOLE
    if row["project_id"] is None:
        return NOTHING
    if not view.caller.reaches_project(row["project_id"]):
        former = former_project(row)
        return _lost(view, former) if former else NOTHING
    return _hidden(row, view)


def _lost(view: View, project_id: UUID | None) -> Shown:
    return Shown(reason=ACCESS_LOST, project_id=project_id) if view.caller.reaches_project(project_id) else NOTHING


def _hidden(row: Row, view: View) -> Shown:
    """Decide of what is in a project, and hidden now: what the reader had of it is gone."""
    place = row["project_id"]
    if row["type"] in (TASK_PURGED, PROJECT_PURGED):
        return Shown(reason=PURGED, project_id=place)
    if row["type"] in OWN_ENDS and row["resource"]["user_id"] == str(view.caller.user_id):
        return Shown(reason=ACCESS_LOST, project_id=place)
    is_lost = {
        "project": place not in view.projects,
        "task": row["task_id"] in view.tasks and not view.tasks[row["task_id"]].in_trashed_project,
    }.get(row["entity_type"], False)
    return Shown(reason=ACCESS_LOST, project_id=place, unless_later=True) if is_lost else NOTHING


def _is_seen(row: Row, view: View) -> bool:
    if row["project_id"] is None:
        return _is_seen_in_workspace(row, view)
    if row["entity_type"] == "project":
        state = view.projects.get(row["project_id"])
        return state in ("live", "trashed") or (state is not None and row["type"] == PROJECT_PURGED)
    if row["type"] == TASK_PURGED:
        return row["project_id"] in view.projects
    return all(view.sees(place) for place in places_of(row))


def _is_seen_in_workspace(row: Row, view: View) -> bool:
    if not view.caller.reaches_project(None):
        return False
    needed = SEEN_BY.get(row["entity_type"])
    own = {row["resource"].get("user_id"), row["resource"].get("owner_id")}
    return needed is None or view.roles[row["workspace_id"]] in needed or str(view.caller.user_id) in own


def entry_of(row: Row, shown: Shown, cursor: str) -> dict[str, Any]:
    """Return a change as its reader gets it, the same wherever it is told."""
    name = row["type"].rpartition(".")[0]
    entry = {
        "seq": row["seq"],
        "cursor": cursor,
        "event_id": str(row["event_id"]),
        "type": name,
        "workspace_id": str(row["workspace_id"]),
        "project_id": _text(row["project_id"]),
        "task_id": _text(row["task_id"]),
        "subject": str(row["entity_id"]),
        "version": row["version"],
        "changes": row["changes"],
        "actor": row["actor"],
        "data": row["resource"],
        "occurred_at": rfc3339(row["occurred_at"]),
        "origin_request_id": row["request_id"],
        **removal(name),
    }
    if shown.reason is not None:
        gone: dict[str, Any] = {"project_id": _text(shown.project_id), "changes": [], "data": None}
        return {**entry, **gone, "removed": {"reason": shown.reason}}
    return _without_words(entry) if row["is_silenced"] else entry


def _without_words(entry: dict[str, Any]) -> dict[str, Any]:
    kept = [one for one in entry["changes"] if one["field"] != WORDS]
    return {**entry, "changes": kept, "data": {**entry["data"], WORDS: None}}


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
