"""Copying a task, with what hangs on it and is below it, as new tasks of whoever asks for it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from chassis.errors import Forbidden
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees import repository as assignees
from tasks_service.assignees.rules import columns_of
from tasks_service.categories.schemas import CATEGORY
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.checklists.service import copy_items
from tasks_service.duplicating import repository
from tasks_service.duplicating.errors import DatesOutOfRange, TreeTooLarge
from tasks_service.duplicating.rules import MAX_TASKS, connected, dates_of, later
from tasks_service.duplicating.schemas import TaskDuplicate, assignees_dropped
from tasks_service.labels.schemas import LABEL
from tasks_service.moving.errors import AnotherWorkspace
from tasks_service.moving.rules import progress_of, status_there
from tasks_service.names import repository as names
from tasks_service.relations.repository import lock_all as lock_relations
from tasks_service.relations.service import copy_relations, may_relate
from tasks_service.reverting.schemas import category_dropped, label_dropped
from tasks_service.subtasks import repository as trees
from tasks_service.subtasks.service import check_place, follow_tree, require
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.errors import ProjectNotFound, TaskNotFound
from tasks_service.tasks.events import task_created
from tasks_service.tasks.schemas import TaskCreate
from tasks_service.tasks.service import new_task, target_project
from tasks_service.versions.errors import ResourceBusy
from tasks_service.visibility.repository import hold_members
from tasks_service.watchers.service import let_assignees_watch, let_makers_watch

COPIED = ("priority", "estimate_minutes", "completion_policy", "reopen_on_assign", "custom")


@dataclass(slots=True)
class Copying:
    """What is being copied: from which tasks, to which project, and what of theirs is usable there."""

    wanted: TaskDuplicate
    project: RowMapping
    sources: Sequence[Mapping[str, Any]]
    actor: Principal
    people: set[UUID] = field(default_factory=set)
    labels: set[UUID] = field(default_factory=set)
    categories: set[UUID] = field(default_factory=set)

    def has(self, part: str) -> bool:
        """Tell whether this part is to be copied."""
        return part in self.wanted.include


async def duplicate_task(
    session: AsyncSession, *, task: RowMapping, wanted: TaskDuplicate, actor: Principal
) -> RowMapping:
    """Copy a task to its project or another one of its workspace, and return the copy with warnings.

    Raises ProjectNotFound, Forbidden, ProjectArchived, AnotherWorkspace, TreeTooLarge, DatesOutOfRange, TooDeep,
    ParentNotFound, TooManyRelations, TaskNotFound, ResourceBusy.
    """
    require(actor, "task.read", [task])
    project = await _target(session, task, wanted, actor)
    below = await _below(session, task, wanted, actor)
    copying = Copying(wanted, project, [cast("Mapping[str, Any]", task), *below], actor)
    items = await _items(session, copying)
    await _look_up(session, copying, items)
    await _lock(session, copying, task)
    return await _copy(session, copying, items)


async def _below(
    session: AsyncSession, task: RowMapping, wanted: TaskDuplicate, actor: Principal
) -> Sequence[Mapping[str, Any]]:
    """Return what is copied with a task. Raises TreeTooLarge."""
    if "subtasks" not in wanted.include:
        return []
    found = await trees.list_below(session, caller=actor, task_id=task["id"], limit=MAX_TASKS)
    if len(found) >= MAX_TASKS:
        raise TreeTooLarge(field="include")
    return connected(task["id"], [cast("Mapping[str, Any]", row) for row in reversed(found)])


async def _lock(session: AsyncSession, copying: Copying, task: RowMapping) -> None:
    """Lock the trees of both projects, and see whether the tree that was read is the one that there is.

    Raises TaskNotFound, what _target raises, and ResourceBusy when it has become another one meanwhile.
    """
    for project_id in sorted({task["project_id"], copying.project["id"]}):
        await trees.lock_tree(session, project_id)
    now = await tasks.find_visible(session, caller=copying.actor, task_id=task["id"])
    if now is None:
        raise TaskNotFound
    copying.project = await _target(session, now, copying.wanted, copying.actor)
    tree = [cast("Mapping[str, Any]", now), *await _below(session, now, copying.wanted, copying.actor)]
    if [_place(one) for one in tree] != [_place(one) for one in copying.sources]:
        raise ResourceBusy(retry_after=1)


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["id"], row["parent_id"], row["project_id"]


async def _target(session: AsyncSession, task: RowMapping, wanted: TaskDuplicate, actor: Principal) -> RowMapping:
    try:
        project = await target_project(session, wanted.project_id or task["project_id"], actor)
    except ProjectNotFound:
        if wanted.project_id is not None:
            raise
        # Who has the task alone by a share makes no tasks beside it.
        raise Forbidden from None
    if project["workspace_id"] != task["workspace_id"]:
        raise AnotherWorkspace(field="project_id")
    return project


async def _items(session: AsyncSession, copying: Copying) -> Sequence[RowMapping]:
    if not copying.has("checklist"):
        return []
    return await repository.items_of(session, [row["id"] for row in copying.sources])


async def _look_up(session: AsyncSession, copying: Copying, items: Sequence[RowMapping]) -> None:
    """Find out what is usable in the project, and keep it so until the end."""
    sources, workspace_id = copying.sources, copying.project["workspace_id"]
    if copying.has("assignees"):
        people = {one for row in sources for one in row["assignees"]}
        people |= {row["assignee_id"] for row in items if row["assignee_id"] is not None}
        await hold_members(session, workspace_id=workspace_id, user_ids=people)
        copying.people = await repository.seeing_project(session, project_id=copying.project["id"], user_ids=people)
    place = {"caller": copying.actor, "workspace_id": workspace_id}
    categories = {row["category_id"] for row in sources} - {None}
    copying.categories = await names.keep_usable(session, CATEGORY.table, row_ids=categories, **place)
    if copying.has("labels"):
        labels = {one for row in sources for one in row["labels"]}
        copying.labels = await names.keep_usable(session, LABEL.table, row_ids=labels, shared_only=True, **place)


async def _copy(session: AsyncSession, copying: Copying, items: Sequence[RowMapping]) -> RowMapping:
    actor, project = copying.actor, copying.project
    values = await _values(session, copying)
    made = await _make(session, values, project)
    copies = {source["id"]: row for source, row in zip(copying.sources, made, strict=True)}
    watched = await let_makers_watch(session, task_ids=[row["id"] for row in made])
    drafts = [task_created(row, watched_by=watched.get(row["id"])) for row in made]
    if any(row["assignees"] for row in made):
        await assignees.add_all(session, tasks=made, assigned_by=actor.user_id)
        drafts += await let_assignees_watch(session, tasks=made)
    drafts += await copy_items(session, items=_as_copied(copying, items), copies=copies, actor=actor)
    if copying.has("relations"):
        drafts += await _relate(session, copies, actor)
    drafts += await follow_tree(session, before=None, after=made[0])
    await changes.record(session, workspace_id=project["workspace_id"], actor=actor, drafts=drafts)
    return cast("RowMapping", {**made[0], "warnings": _warnings(copying)})


async def _values(session: AsyncSession, copying: Copying) -> list[dict[str, Any]]:
    """Return the columns of the copies, the first of which may be beside the task. Raises what check_place raises."""
    root, project, categories = copying.sources[0], copying.project, dict(map(tuple, copying.project["statuses"]))
    values = [new_task(_as_created(copying, row), project, copying.actor) for row in copying.sources]
    ids = {row["id"]: one["id"] for row, one in zip(copying.sources, values, strict=True)}
    for row, one in zip(copying.sources, values, strict=True):
        one["parent_id"] = ids.get(row["parent_id"])
    if root["parent_id"] is not None and root["project_id"] == project["id"]:
        parent_id = values[0]["parent_id"] = root["parent_id"]
        await check_place(session, project_id=project["id"], parent_id=parent_id, task_id=None, actor=copying.actor)
    progress = progress_of({**one, "status_category": categories[one["status"]]} for one in values[1:])
    for one in values:
        one["subtasks_done"], one["subtasks_total"] = progress.get(one["id"], (0, 0))
    return values


def _as_created(copying: Copying, row: Mapping[str, Any]) -> TaskCreate:
    """Return what a client would send to make a copy. Raises DatesOutOfRange."""
    wanted = copying.wanted
    try:
        dates = dates_of(row, wanted.days)
    except OverflowError:
        raise DatesOutOfRange(field="shift_dates") from None
    statuses = copying.project["statuses"]
    status = status_there(row["status"], row["status_category"], status_map={}, statuses=statuses)
    is_first = row is copying.sources[0]
    return TaskCreate.model_construct(
        **{name: row[name] for name in COPIED},
        **dates,
        **columns_of([one for one in row["assignees"] if one in copying.people]),
        title=wanted.title if is_first and wanted.title is not None else row["title"],
        description=row["description"] if copying.has("description") else None,
        status=status if wanted.with_status else None,
        category_id=row["category_id"] if row["category_id"] in copying.categories else None,
        labels=[one for one in row["labels"] if one in copying.labels],
    )


async def _make(session: AsyncSession, values: Sequence[Mapping[str, Any]], project: RowMapping) -> list[RowMapping]:
    rows = await tasks.add_all(session, values)
    by_id = {row["id"]: row for row in rows}
    return [
        cast("RowMapping", {**by_id[one["id"]], "key": f"{project['prefix']}-{by_id[one['id']]['number']}"})
        for one in values
    ]


def _as_copied(copying: Copying, items: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """Return items with what is another in the copy."""
    return [
        {
            **row,
            "done": row["done"] and copying.wanted.with_status,
            "assignee_id": row["assignee_id"] if row["assignee_id"] in copying.people else None,
            "due_date": later(row["due_date"], copying.wanted.days),
        }
        for row in items
    ]


async def _relate(session: AsyncSession, copies: Mapping[UUID, RowMapping], actor: Principal) -> list[ChangeDraft]:
    await lock_relations(session, next(iter(copies.values()))["workspace_id"])
    rows = await repository.relations_of(session, copies)
    others = {one for row in rows for one in (row["from_task_id"], row["to_task_id"])} - copies.keys()
    seen = await repository.seen_among(session, actor, others) if others else {}
    rows = [
        row for row in rows if row["to_task_id"] not in seen or may_relate(row["type"], seen[row["to_task_id"]], actor)
    ]
    return await copy_relations(session, relations=rows, copies=copies, others=seen, actor=actor)


def _warnings(copying: Copying) -> list[dict[str, Any]]:
    """Return what could not be copied, of which nothing is told of what was not to be."""
    found: list[dict[str, Any]] = []
    for row in copying.sources:
        lost: Collection[UUID] = [one for one in row["assignees"] if one not in copying.people]
        if lost and copying.has("assignees"):
            found.append(assignees_dropped(row["id"], [*lost]))
    categories = {row["category_id"] for row in copying.sources} - {None} - copying.categories
    found += [category_dropped(one) for one in sorted(categories)]
    if copying.has("labels"):
        labels = {one for row in copying.sources for one in row["labels"]} - copying.labels
        found += [label_dropped(one) for one in sorted(labels)]
    return found
