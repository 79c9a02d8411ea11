"""Use cases of tasks. Each is part of one transaction that its caller commits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees import repository as assignees
from tasks_service.assignees.errors import TooManyAssignees
from tasks_service.assignees.rules import MAX_ASSIGNEES, columns_of, status_after_assignment, with_primary
from tasks_service.assignees.service import FIELD, follow_task
from tasks_service.blockers.schemas import FREE, Passage
from tasks_service.blockers.service import pass_blockers
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.dues.rules import NO_DUE, due_day
from tasks_service.filing.service import check_filing
from tasks_service.permissions.policies import can
from tasks_service.permissions.schemas import Held
from tasks_service.projects import repository as projects
from tasks_service.projects.errors import ProjectArchived
from tasks_service.references.service import References, told_at_once
from tasks_service.statuses.errors import StatusNotFound
from tasks_service.subtasks.errors import ParentNotFound
from tasks_service.subtasks.repository import lock_below, lock_tree
from tasks_service.subtasks.rules import Children
from tasks_service.subtasks.service import check_place, complete_below, follow_tree, refuse_open, trash_below
from tasks_service.tasks import repository
from tasks_service.tasks.errors import CustomTooLong, DatesOutOfOrder, ExternalIdTaken, ProjectNotFound, TaskNotFound
from tasks_service.tasks.events import TASK_DELETED, TASK_UPDATED, task_changed, task_created
from tasks_service.tasks.rules import are_in_order, completion
from tasks_service.tasks.schemas import TaskCreate, TaskOut, TaskPatch, TaskUpsert, is_small_enough
from tasks_service.versions import service as versions
from tasks_service.versions.errors import ResourceBusy
from tasks_service.versions.schemas import Expectation
from tasks_service.visibility.repository import hold_members
from tasks_service.watchers.service import let_makers_watch
from tasks_service.workspaces.service import ensure_personal_workspace

KIND = versions.Kind(
    repository.task,
    TaskOut.of,
    field_of={
        "start_date": "start",
        "due_kind": "due",
        "due_date": "due",
        "due_at": "due",
        "due_local": "due",
        "due_timezone": "due",
    },
    derived=frozenset({"progress", "status_category", "completed_at", "completed_by"}),
)


@dataclass(frozen=True, slots=True)
class Edit:
    """A wanted change of one task: `values` by column, and what the caller says of the state that it is for.

    `assignee_field` names the input of an assignee by its index. `children` says what becomes of open subtasks when
    the task is completed by it, and `force` that it may be though others block it. `also` are changes that were made
    before, and are recorded with this one. Of the columns in `merged` the values are merge patches.
    """

    event_type: str
    values: Mapping[str, Any]
    expected: Expectation
    assignee_field: str = FIELD
    children: Children = "fail"
    force: bool = False
    also: Sequence[ChangeDraft] = ()
    merged: Collection[str] = ()


async def create_task(session: AsyncSession, *, wanted: TaskCreate, actor: Principal) -> RowMapping:
    """Add a task to the wanted project, or to the actor's Inbox. Raises what make_task raises."""
    made, drafts = await make_task(session, wanted=wanted, actor=actor)
    await changes.record(session, workspace_id=made["workspace_id"], actor=actor, drafts=drafts)
    return made


async def make_task(
    session: AsyncSession, *, wanted: TaskCreate, actor: Principal
) -> tuple[RowMapping, list[ChangeDraft]]:
    """Add a task, and return it with the changes that are to be recorded.

    Raises what project_of, prepare_task and check_place raise, AssigneeNoAccess, ExternalIdTaken.
    """
    project = await project_of(session, wanted=wanted, actor=actor)
    async with told_at_once(session, References.of_new(wanted, project), actor):
        values = await prepare_task(session, wanted=wanted, project=project, actor=actor)
        if wanted.parent_id is not None:
            await lock_tree(session, project["id"])
            await check_place(session, project_id=project["id"], parent_id=wanted.parent_id, task_id=None, actor=actor)
    added = await repository.add(session, values)
    if added is None:
        raise ExternalIdTaken(field="external_id")
    made = cast("RowMapping", {**added, "key": f"{project['prefix']}-{added['number']}"})
    return made, await _drafts(session, made, actor, watched_by=added[repository.WATCHED_BY])


async def project_of(session: AsyncSession, *, wanted: TaskUpsert, actor: Principal) -> RowMapping:
    """Return the project that takes a task. Raises ProjectNotFound, ParentNotFound, Forbidden, ProjectArchived."""
    project_id = wanted.project_id
    if project_id is None and wanted.parent_id is not None:
        project_id = await _project_of_parent(session, wanted.parent_id, actor)
    return await target_project(session, project_id, actor)


async def prepare_task(
    session: AsyncSession, *, wanted: TaskUpsert, project: RowMapping, actor: Principal
) -> dict[str, Any]:
    """Return the columns of a new task of the project; what they name is kept until the end.

    Raises CategoryNotFound, LabelNotFound, StatusNotFound, DatesOutOfOrder.
    """
    if wanted.assignees:
        await hold_members(session, workspace_id=project["workspace_id"], user_ids=wanted.assignees)
    await check_filing(session, workspace_id=project["workspace_id"], values=vars(wanted), actor=actor)
    return new_task(wanted, project, actor)


async def drafts_of_new(session: AsyncSession, made: RowMapping, actor: Principal) -> list[ChangeDraft]:
    """Let follow what follows from a new task, and return all the changes. Raises AssigneeNoAccess."""
    watched = await let_makers_watch(session, task_ids=[made["id"]])
    return await _drafts(session, made, actor, watched_by=watched.get(made["id"]))


async def _drafts(
    session: AsyncSession, made: RowMapping, actor: Principal, *, watched_by: UUID | None
) -> list[ChangeDraft]:
    return [
        task_created(made, watched_by=watched_by),
        *await follow_task(session, before=None, after=made, actor_id=actor.user_id),
        *await follow_tree(session, before=None, after=made),
    ]


async def update_task(
    session: AsyncSession,
    *,
    task: RowMapping,
    patch: TaskPatch,
    expected: Expectation,
    actor: Principal,
    children: Children = "fail",
    force: bool = False,
    merges: bool = False,
) -> RowMapping:
    """Apply a merge patch, or a replacement. What is equal already changes nothing: no version, no event.

    With `merges` the object `custom` is a merge patch itself. Raises what versions.service.change raises,
    StatusNotFound, DatesOutOfOrder, AssigneeNoAccess, TooManyAssignees, CategoryNotFound, LabelNotFound, CustomTooLong,
    OpenSubtasks, Blocked, and what check_place raises.
    """
    given, edit = patch.given(), edit_of(patch, expected, merges=merges, children=children, force=force)
    async with told_at_once(session, References.of_change(given, task), actor):
        await check_filing(session, workspace_id=task["workspace_id"], values=given, actor=actor)
        if given.keys() & {"assignees", "assigned_to"}:
            return await _assign(session, task=task, given=given, edit=edit, actor=actor)
        return await apply_edit(session, task=task, edit=edit, actor=actor)


def edit_of(
    patch: TaskPatch, expected: Expectation, *, merges: bool, children: Children = "fail", force: bool = False
) -> Edit:
    """Return the change that a patch is. With `merges` the object `custom` is a merge patch itself."""
    given = patch.given()
    merged = ("custom",) if merges and given.get("custom") is not None else ()
    if "custom" in given:
        given["custom"] = given["custom"] or {}
    return Edit(TASK_UPDATED, task_columns(given), expected, children=children, force=force, merged=merged)


async def _assign(
    session: AsyncSession, *, task: RowMapping, given: Mapping[str, Any], edit: Edit, actor: Principal
) -> RowMapping:
    primary, only = given.get("assigned_to"), given.get("assignees")
    named = [primary] if only is None and primary else only or []
    await hold_members(session, workspace_id=task["workspace_id"], user_ids=named)
    if "parent_id" in given or edit.children == "complete":
        # Before the task, which the assignment locks.
        task = await hold_tree(session, task, actor)
    if edit.children == "complete":
        await lock_below(session, caller=actor, task_id=task["id"])
    task = await lock_task(session, task=task, actor=actor)
    wanted = with_primary(task["assignees"], primary) if only is None and primary else named
    values = {**await assignment(session, task, wanted), **edit.values, **columns_of(wanted)}
    field = "assigned_to" if only is None else FIELD
    return await apply_edit(session, task=task, edit=replace(edit, values=values, assignee_field=field), actor=actor)


async def lock_for_assignment(
    session: AsyncSession, *, task: RowMapping, new: Sequence[UUID], actor: Principal
) -> RowMapping:
    """Lock those who are to be assigned and then the task, and return that as it is now. Raises TaskNotFound."""
    await hold_members(session, workspace_id=task["workspace_id"], user_ids=new)
    return await lock_task(session, task=task, actor=actor)


async def lock_task(session: AsyncSession, *, task: RowMapping, actor: Principal) -> RowMapping:
    """Lock a task, and return it as it is now. Raises TaskNotFound."""
    await repository.lock(session, [task["id"]])
    row = await repository.find_writable(session, caller=actor, task_id=task["id"])
    if row is None:
        raise TaskNotFound
    return row


async def assignment(session: AsyncSession, task: RowMapping, wanted: Sequence[UUID]) -> dict[str, Any]:
    """Return the columns of a locked task whose assignees become these: the status may follow.

    Raises TooManyAssignees.
    """
    if len(wanted) > MAX_ASSIGNEES:
        raise TooManyAssignees
    states = await assignees.states_of(session, task["id"])
    status = status_after_assignment(cast("Mapping[str, Any]", task), states, wanted)
    return {**columns_of(wanted), **({} if status is None else {"status": status})}


async def delete_task(
    session: AsyncSession, *, task: RowMapping, expected: Expectation, actor: Principal
) -> RowMapping:
    """Move a task to the trash, with all that is below it. Raises Forbidden when not all of it is the actor's."""
    task = await hold_tree(session, task, actor)
    await versions.refuse_stale(session, KIND, task, wanted={}, expected=expected)
    below = await trash_below(session, task=task, actor=actor)
    values = {"deleted_at": utcnow(), "deleted_by": actor.user_id}
    return await apply_edit(session, task=task, edit=Edit(TASK_DELETED, values, expected), actor=actor, below=below)


async def apply_edit(
    session: AsyncSession, *, task: RowMapping, edit: Edit, actor: Principal, below: Sequence[ChangeDraft] = ()
) -> RowMapping:
    """Change a task, with all that follows from it, and return it; what is equal already changes nothing.

    `below` is what has been changed below it. Raises what versions.service.change raises, StatusNotFound,
    DatesOutOfOrder, AssigneeNoAccess, OpenSubtasks, Blocked, and what check_place raises.
    """
    above: list[UUID] = []
    completes_all = edit.children == "complete" and _is_to_be_done(task, edit.values)
    if "parent_id" in edit.values or completes_all:
        task = await hold_tree(session, task, actor)
    parent_id = edit.values.get("parent_id")
    if parent_id is not None and parent_id != task["parent_id"]:
        above = await check_place(
            session, project_id=task["project_id"], parent_id=parent_id, task_id=task["id"], actor=actor
        )
    if completes_all:
        task, below = await _complete_all_below(session, task, edit, actor)

    async def read_again() -> RowMapping:
        # Locked, so that nobody is faster a second time, however many they are.
        await repository.lock(session, [task["id"]])
        row = await repository.find_writable(session, caller=actor, task_id=task["id"])
        if row is None:
            raise TaskNotFound
        return row

    changed = await versions.change(
        session,
        KIND,
        task,
        wanted=edit.values,
        expected=edit.expected,
        read_again=read_again,
        follow=lambda row, values: following(row, values, edit, actor),
        merged=edit.merged,
    )
    drafts, passage = [*edit.also, *below], FREE
    if changed is not None:
        if completes(changed.before, edit.values):
            passage = await check_completion(session, task=changed.after, edit=edit, below=below, actor=actor)
        drafts.append(task_changed(edit.event_type, changed.before, changed.after))
        drafts += await follow_task(
            session, before=changed.before, after=changed.after, actor_id=actor.user_id, field=edit.assignee_field
        )
        drafts += await follow_tree(session, before=changed.before, after=changed.after, above=above)
    if drafts:
        await changes.record(
            session, workspace_id=task["workspace_id"], actor=actor, drafts=drafts, reason=passage.reason
        )
    return task if changed is None else cast("RowMapping", {**changed.after, "warnings": passage.warnings})


async def _complete_all_below(
    session: AsyncSession, task: RowMapping, edit: Edit, actor: Principal
) -> tuple[RowMapping, Sequence[ChangeDraft]]:
    """Complete what is below a task that is to be done, unless it is; return it, locked last, and the changes."""
    await lock_below(session, caller=actor, task_id=task["id"])
    task = await lock_task(session, task=task, actor=actor)
    if not completes(task, edit.values):
        return task, []
    return task, await complete_below(session, task=task, status=edit.values["status"], actor=actor)


async def check_completion(
    session: AsyncSession, *, task: RowMapping, edit: Edit, below: Sequence[ChangeDraft] = (), actor: Principal
) -> Passage:
    """Check what a task has to fulfil that is completed just now, and so is locked; say how it passes.

    `below` are the changes of what was completed with it. Raises OpenSubtasks, Blocked, Forbidden.
    """
    if edit.children == "fail":
        await refuse_open(session, task=task, actor=actor)
    others = [draft.entity_id for draft in below]
    return await pass_blockers(session, task=task, with_ids=others, force=edit.force, actor=actor)


async def hold_tree(session: AsyncSession, task: RowMapping, actor: Principal, *others: UUID) -> RowMapping:
    """Lock the trees of a task's project, and of others, and return the task as it is then.

    Raises TaskNotFound, ProjectArchived, and ResourceBusy for one that is moved again and again.
    """
    for _ in range(versions.ATTEMPTS):
        # A task that has moved meanwhile is waited for where it is now, without the former project: projects are locked
        # in the order of their ids.
        attempt = await session.begin_nested()
        for project_id in sorted({task["project_id"], *others}):
            await lock_tree(session, project_id)
        row = await repository.find_writable(session, caller=actor, task_id=task["id"])
        if row is None:
            raise TaskNotFound
        if row["project_id"] == task["project_id"]:
            if row["is_archived"]:
                raise ProjectArchived
            await attempt.commit()
            return row
        await attempt.rollback()
        task = row
    raise ResourceBusy(retry_after=1)


def completes(row: RowMapping, values: Mapping[str, Any]) -> bool:
    """Tell whether a change of a task makes it done. Raises StatusNotFound."""
    return row["status_category"] != "done" and _is_to_be_done(row, values)


def _is_to_be_done(row: RowMapping, values: Mapping[str, Any]) -> bool:
    return "status" in values and _category_of(values["status"], row["statuses"]) == "done"


def following(row: RowMapping, changed: Mapping[str, Any], edit: Edit, actor: Principal) -> dict[str, Any]:
    """Check what a change makes of a task, and return what follows from it."""
    after = {**row, **changed}
    if not are_in_order(after["start_date"], due_day(after), after["deadline"]):
        raise DatesOutOfOrder
    if not is_small_enough(after["custom"]):
        raise CustomTooLong(field="custom")
    if "status" not in changed:
        return {}
    category = _category_of(changed["status"], row["statuses"])
    # What is below was completed just now, unless the task was so before.
    completed_below = edit.children == "complete" and category == "done" and row["status_category"] != "done"
    done = {"subtasks_done": row["subtasks_total"]} if completed_below else {}
    return done | completion(category, was=row["status_category"], actor_id=actor.user_id, now=utcnow())


def _category_of(status: str, statuses: Sequence[tuple[str, str]]) -> str:
    category = dict(statuses).get(status)
    if category is None:
        raise StatusNotFound(field="status")
    return category


async def target_project(session: AsyncSession, project_id: UUID | None, actor: Principal) -> RowMapping:
    """Return the project that takes a new task. Raises ProjectNotFound, Forbidden or ProjectArchived."""
    if project_id is not None:
        project = await projects.find_visible(session, caller=actor, project_id=project_id)
    else:
        project = await _inbox(session, actor)
    if project is None:
        raise ProjectNotFound(field="project_id")
    if not can(actor, "project.create_task", Held(project["role"], project["workspace_id"], project["id"])).allowed:
        raise Forbidden
    if project["archived_at"] is not None:
        raise ProjectArchived
    return project


async def _project_of_parent(session: AsyncSession, parent_id: UUID, actor: Principal) -> UUID:
    """Return the project of the task that a new one is below; a share of it alone shows nothing of its project."""
    parent = await repository.find_visible(session, caller=actor, task_id=parent_id)
    if parent is None:
        raise ParentNotFound(field="parent_id")
    project_id: UUID = parent["project_id"]
    return project_id


async def _inbox(session: AsyncSession, actor: Principal) -> RowMapping | None:
    """Return the actor's Inbox, made now if need be: not for a token that would not see it, and none is a machine's."""
    inbox = await projects.find_inbox(session, actor)
    if inbox is None and not actor.is_restricted and actor.via != "bot":
        await ensure_personal_workspace(session, owner=actor)
        inbox = await projects.find_inbox(session, actor)
    return inbox


def new_task(wanted: TaskUpsert, project: RowMapping, actor: Principal) -> dict[str, Any]:
    """Return the columns of a new task. Raises StatusNotFound, DatesOutOfOrder."""
    now = utcnow()
    status = wanted.status or project["statuses"][0][0]
    columns = task_columns({name: getattr(wanted, name) for name in type(wanted).model_fields if name != "project_id"})
    new = {
        **NO_DUE,
        **columns,
        "id": uuid7(),
        "workspace_id": project["workspace_id"],
        "project_id": project["id"],
        "status": status,
        "completed_at": None,
        "completed_by": None,
        **completion(_category_of(status, project["statuses"]), was=None, actor_id=actor.user_id, now=now),
        "created_by": actor.user_id,
        "version": 1,
        "created_at": now,
        "updated_at": now,
        "deleted_at": None,
    }
    if not are_in_order(new["start_date"], due_day(new), new["deadline"]):
        raise DatesOutOfOrder
    return new


def task_columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Translate fields of the API to columns."""
    columns = {name: value for name, value in fields.items() if name not in {"due", "start"}}
    if "labels" in fields:
        columns["labels"] = sorted(set(fields["labels"]))
    if "due" in fields:
        columns |= NO_DUE if fields["due"] is None else fields["due"].columns()
    if "start" in fields:
        columns["start_date"] = fields["start"]
    return columns
