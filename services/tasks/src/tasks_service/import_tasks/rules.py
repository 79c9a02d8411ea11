"""What a task of a file is here: everything that it may have, and what it must do without is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.clock import utcnow

from tasks_service.assignees.rules import columns_of
from tasks_service.data_lines.schemas import TaskLine
from tasks_service.dues.rules import NO_DUE, due_day
from tasks_service.import_sources.schemas import UNKNOWN, Incoming, Taking
from tasks_service.subtasks.rules import MAX_DEPTH
from tasks_service.tasks.rules import are_in_order

KEPT = (
    "title",
    "description",
    "priority",
    "completion_policy",
    "reopen_on_assign",
    "deadline",
    "estimate_minutes",
    "position",
    "external_source",
    "external_id",
    "custom",
)


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project that takes tasks. One that an import made gives back numbers that tasks had elsewhere."""

    id: UUID
    statuses: Sequence[tuple[str, str]]
    prefix: str = ""
    next_number: int = 1
    is_archived: bool = False
    is_imported: bool = True
    # In a dry run: there is none.
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Above:
    """A task that others may be below: what it is here, in which project, and how many are above it."""

    id: UUID
    project_id: UUID
    depth: int


@dataclass(slots=True)
class Surroundings:
    """What is known of what tasks refer to, by what they call it."""

    projects: Mapping[UUID, ProjectInfo]
    above: dict[UUID, Above]
    categories: Mapping[UUID, UUID]
    labels: Mapping[UUID, UUID]
    # Who sees which project.
    readers: set[tuple[UUID, UUID]]
    numbers: set[tuple[UUID, int]]
    externals: set[tuple[UUID, str, str]]
    own_ids: dict[UUID, UUID] = field(default_factory=dict)


def columns(taking: Taking, one: Incoming, around: Surroundings) -> dict[str, Any] | None:
    """Return the columns of a task; None for one that can't be here, which is told."""
    line: TaskLine = one.line
    project = around.projects.get(line.project_id)
    if project is None:
        taking.fail(one.number, UNKNOWN, "There is no such project here.", "project_id")
    elif project.is_archived:
        taking.fail(one.number, "PROJECT_ARCHIVED", "This project is archived: nothing in it changes.", "project_id")
    elif (line.external_source is None) != (line.external_id is None):
        message = "Give external_source and external_id, or neither."
        taking.fail(one.number, "EXTERNAL_ID_INCOMPLETE", message, "external_id")
    elif _external(project, line) in around.externals:
        message = "Another task of the project has this external_id."
        taking.fail(one.number, "EXTERNAL_ID_TAKEN", message, "external_id")
    else:
        return _columns(taking, one, project, around)
    return None


def _columns(taking: Taking, one: Incoming, project: ProjectInfo, around: Surroundings) -> dict[str, Any] | None:
    line: TaskLine = one.line
    status = line.status or project.statuses[0][0]
    category = dict(project.statuses).get(status)
    if category is None:
        taking.fail(one.number, "STATUS_NOT_FOUND", "The project has no such status.", "status")
        return None
    due = NO_DUE if line.due is None else line.due.columns()
    if not are_in_order(line.start, due_day(due), line.deadline):
        taking.fail(one.number, "DATES_OUT_OF_ORDER", "Start, due and deadline follow each other.", "due")
        return None
    # Nothing was made later than its id.
    now = utcnow()
    created_at = min(line.created_at or now, now)
    times = {"created_at": created_at, "updated_at": max(line.updated_at or created_at, created_at)}
    own_id = around.own_ids[line.id]
    values = {
        **{name: getattr(line, name) for name in KEPT},
        **due,
        **columns_of(_assignees(taking, one, project, around)),
        **_completion(taking, one, category, times["updated_at"]),
        **times,
        "id": own_id,
        "workspace_id": taking.terms.workspace_id,
        "project_id": project.id,
        "status": status,
        # The database says the same.
        "status_category": category,
        "number": _number(line, project, around),
        "start_date": line.start,
        "category_id": _category(taking, one, around),
        "labels": _labels(taking, one, around),
        "parent_id": _parent(taking, one, project, around),
        "created_by": taking.who(one.number, line.created_by, "created_by"),
        "subtasks_total": 0,
        "subtasks_done": 0,
        "version": 1,
        "deleted_at": None,
    }
    _take(around, project, line, values)
    return values


def _external(project: ProjectInfo, line: TaskLine) -> tuple[UUID, str, str]:
    return project.id, line.external_source or "", line.external_id or ""


def _take(around: Surroundings, project: ProjectInfo, line: TaskLine, values: dict[str, Any]) -> None:
    """Let others know of a task that there will be."""
    depth = next((one.depth + 1 for one in around.above.values() if one.id == values["parent_id"]), 0)
    around.above[line.id] = Above(values["id"], project.id, depth)
    if line.external_id is not None:
        around.externals.add(_external(project, line))
    if values["number"] is not None:
        around.numbers.add((project.id, values["number"]))


def _completion(taking: Taking, one: Incoming, category: str, changed_at: Any) -> dict[str, Any]:
    line = one.line
    if category != "done":
        return {"completed_at": None, "completed_by": None}
    by = line.completed_by
    if line.completed_at is None or by is not None:
        by = taking.who(one.number, by, "completed_by")
    return {"completed_at": line.completed_at or changed_at, "completed_by": by}


def _number(line: TaskLine, project: ProjectInfo, around: Surroundings) -> int | None:
    """Return the number that a task had, if it is free: what a project has given itself is never given again."""
    number = line.number
    if number is None or (project.id, number) in around.numbers:
        return None
    return number if project.is_imported or number >= project.next_number else None


def _category(taking: Taking, one: Incoming, around: Surroundings) -> UUID | None:
    wanted = one.line.category_id
    found = around.categories.get(wanted) if wanted else None
    if wanted is not None and found is None:
        taking.warn(one.number, UNKNOWN, "There is no such category here: it has none.", "category_id")
    return found


def _labels(taking: Taking, one: Incoming, around: Surroundings) -> list[UUID]:
    found = {around.labels[label] for label in one.line.labels if label in around.labels}
    if any(label not in around.labels for label in one.line.labels):
        taking.warn(one.number, UNKNOWN, "Not all of these labels are here.", "labels")
    return sorted(found)


def _parent(taking: Taking, one: Incoming, project: ProjectInfo, around: Surroundings) -> UUID | None:
    wanted = one.line.parent_id
    if wanted is None:
        return None
    found = around.above.get(wanted)
    if found is None or found.project_id != project.id:
        taking.warn(one.number, UNKNOWN, "There is no such task in the project: it is below none.", "parent_id")
        return None
    if found.depth >= MAX_DEPTH:
        taking.warn(
            one.number, "TOO_DEEP", "This would be nested deeper than is possible: it is below none.", "parent_id"
        )
        return None
    return found.id


def _assignees(taking: Taking, one: Incoming, project: ProjectInfo, around: Surroundings) -> list[UUID]:
    line: TaskLine = one.line
    shared = {share.user_id for share in line.shares} & taking.terms.members
    found = []
    for user_id in dict.fromkeys(assignee.user_id for assignee in line.assignees):
        if (project.id, user_id) in around.readers or user_id in shared:
            found.append(user_id)
        else:
            taking.warn(one.number, "ASSIGNEE_NO_ACCESS", "Not all of these can see the task.", "assignees")
    return found
