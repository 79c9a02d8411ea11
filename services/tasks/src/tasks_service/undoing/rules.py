"""Which changes of an operation are turned back, in which order, and what is in the way."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple
from uuid import UUID

Entry = Mapping[str, Any]
"""A change of the log: `workspace_id`, `seq`, `type`, `entity_type`, `entity_id`, `project_id`, `changes`."""

DERIVED = frozenset(
    {
        "progress",
        "status_category",
        "completed_at",
        "completed_by",
        "assigned_to",
        "edited_at",
        "mentions",
        "done_at",
        "done_by",
    }
)
"""Fields that follow from others, which are those that are looked at."""
ENDINGS = {"deleted": "deleted_at", "purged": "deleted_at", "moved": "project_id"}
"""Changes after which nothing can be as it was, and the field that says so."""
MANUAL = "manual"
MOVED = "task.moved.v1"
NOTED = frozenset({"watcher.removed.v1", "star.removed.v1", "personal_label.removed.v1"})
UNDO_OF = "undo of "


class Conflict(NamedTuple):
    """A later change of what is to be turned back."""

    entity_type: str
    entity_id: str
    field: str | None
    seq: int

    def as_json(self) -> dict[str, Any]:
        """Return it as an answer shows it."""
        return self._asdict()


def verb_of(entry: Entry) -> str:
    """Return what was done, such as `updated`."""
    return str(entry["type"]).split(".")[1]


def turned_back(entries: Iterable[Entry]) -> list[Entry]:
    """Return the changes that are turned back, in the order in which that is done: the newest first.

    What followed from another one follows from its inverse. Tasks move back first, so that who saw them there does
    again; trees go from the outside in.
    """
    found = sorted(entries, key=lambda one: (one["workspace_id"], one["seq"]), reverse=True)
    made = {one["entity_id"] for one in found if one["type"] in {"project.created.v1", "task.created.v1"}}
    moves = [one for one in reversed(found) if one["type"] == MOVED]
    moved = {one["entity_id"] for one in moves}
    steps = [one for one in found if one["type"] != MOVED and not _follows(one, made, moved)]
    trees = [one for one in reversed(steps) if _is_of_tree(one)]
    return [*moves, *(one for one in steps if not _is_of_tree(one)), *trees]


def _follows(entry: Entry, made: AbstractSet[Any], moved: AbstractSet[Any]) -> bool:
    """Tell whether a change came with another.

    What hangs on a task that was made goes to the trash with it. Who saw a task no more where it was moved may note
    it anew.
    """
    if entry["type"] in NOTED and entry["task_id"] in moved:
        return True
    if entry["type"] == "watcher.added.v1" and entry["resource"]["reason"] != MANUAL:
        return True
    if entry["type"] == "project_member.added.v1":
        return entry["project_id"] in made
    if entry["entity_type"] != "task" and entry["task_id"] in made:
        return True
    return verb_of(entry) == "updated" and not fields_of(entry)


def former_statuses(entries: Iterable[Entry], moved: Entry) -> dict[str, str]:
    """Return which statuses tasks had that went the same way as one that moved, by those that they got."""
    way = _values(moved).get("project_id")
    pairs = [
        _values(one).get("status") for one in entries if one["type"] == MOVED and _values(one)["project_id"] == way
    ]
    return {pair[1]: pair[0] for pair in pairs if pair is not None}


def _values(entry: Entry) -> dict[str, tuple[Any, Any]]:
    return {one["field"]: (one["old"], one["new"]) for one in entry["changes"]}


def _is_of_tree(entry: Entry) -> bool:
    """Tell whether a change of a project came with the same of all that is in it, which was told after it."""
    if entry["entity_type"] != "project":
        return False
    return verb_of(entry) in {"deleted", "restored"} or "archived_at" in fields_of(entry)


def fields_of(entry: Entry) -> set[str]:
    """Return the fields that a change was about."""
    return {one["field"] for one in entry["changes"]} - DERIVED


def conflicts_of(steps: Sequence[Entry], later: Sequence[Entry]) -> list[Conflict]:
    """Return what others, or the same caller otherwise, have changed since, once a field, the last time.

    What was undone, and its undoing, are as if they had not been.
    """
    standing: dict[Any, list[Entry]] = {}
    for entry in _standing(later):
        standing.setdefault(entry["entity_id"], []).append(entry)
    found: dict[tuple[Any, str | None], Conflict] = {}
    for step in steps:
        for other in standing.get(step["entity_id"], ()):
            if _is_later(other, step):
                for field in _touched(step, other):
                    kind, one = other["entity_type"], str(other["entity_id"])
                    found[one, field] = Conflict(kind, one, field, other["seq"])
    return sorted(found.values(), key=lambda one: (one.seq, one.field or ""))


def _standing(later: Sequence[Entry]) -> list[Entry]:
    """Leave out changes that were undone by others of these, in the order in which they were made."""
    gone: set[tuple[Any, int]] = set()
    seen: set[tuple[Any, Any]] = set()
    in_order = sorted(later, key=lambda one: (one["occurred_at"], one["seq"]))
    of_request: dict[tuple[Any, Any], list[tuple[int, Entry]]] = {}
    for index, entry in enumerate(in_order):
        of_request.setdefault((_actor_of(entry), entry["request_id"]), []).append((index, entry))
    for index, entry in reversed([*enumerate(in_order)]):
        undone = undone_by(entry)
        if undone is None or _place(entry) in gone:
            continue
        mine = (_actor_of(entry), undone)
        of_it = of_request.get(mine, [])
        if of_it and of_it[0][0] < index:
            gone.add(_place(entry))
            # The last one of what an undo did stands for all of it.
            gone |= set() if mine in seen else {_place(one) for place, one in of_it if place < index}
            seen.add(mine)
    return [one for one in in_order if _place(one) not in gone]


def _actor_of(entry: Entry) -> Any:
    return (entry["actor"] or {}).get("id")


def _place(entry: Entry) -> tuple[Any, int]:
    return entry["workspace_id"], entry["seq"]


def reason_of(request_id: str) -> str:
    """Return what the history says of changes that undo a request."""
    return f"{UNDO_OF}{request_id}"


def undone_by(entry: Entry) -> str | None:
    """Return the id of the request that a change undoes, if it does."""
    reason = entry["reason"] or ""
    return reason.removeprefix(UNDO_OF).partition(";")[0] if reason.startswith(UNDO_OF) else None


def undone_already(
    found: Iterable[Conflict], later: Iterable[Entry], *, user_id: UUID, request_id: str
) -> AbstractSet[Conflict]:
    """Return those of the conflicts that are there because somebody has undone the request before."""
    by_undo = {
        (str(one["entity_id"]), one["seq"])
        for one in later
        if undone_by(one) == request_id and str(_actor_of(one)) == str(user_id)
    }
    return {one for one in found if (one.entity_id, one.seq) in by_undo}


def _is_later(other: Entry, step: Entry) -> bool:
    """Tell whether another change came after a step; numbers are of one workspace."""
    return bool(other["workspace_id"] != step["workspace_id"] or other["seq"] > step["seq"])


def _touched(step: Entry, other: Entry) -> set[str | None]:
    """Return the fields of a step that another change touches; None stands for the whole.

    What was made is touched by any change of it, and what is told without fields, too.
    """
    ending = ENDINGS.get(verb_of(other))
    if verb_of(step) == "created" or not step["changes"]:
        shown = {one["field"] for one in other["changes"]}
        named: set[str | None] = {*fields_of(other), *(shown & {"progress"})}
        return {ending} if ending else named or {None}
    shared: set[str | None] = {*(fields_of(step) & fields_of(other))}
    return shared | ({ending} if ending else set())
