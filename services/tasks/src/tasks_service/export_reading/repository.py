"""All SQL on what is exported: walks by keys, over what somebody sees who manages all of a workspace."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import ColumnElement, FromClause, RowMapping, Select, Table, any_, bindparam, or_, select, tuple_
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees.models import Assignee
from tasks_service.categories.models import Category
from tasks_service.checklists.models import ChecklistItem
from tasks_service.comments.models import Comment, Reaction
from tasks_service.export_reading.rules import Wanted
from tasks_service.labels.models import Label, PersonalLabel
from tasks_service.matching.repository import matching
from tasks_service.metadata.models import TaskMetadata
from tasks_service.metadata.rules import app_of
from tasks_service.projects.models import ProjectPrefix
from tasks_service.relations.models import Relation
from tasks_service.search.models import SearchDocument
from tasks_service.shares.models import TaskShare
from tasks_service.stars.models import Star
from tasks_service.statuses.models import Status
from tasks_service.tasks.models import TaskKeyAlias
from tasks_service.tasks.repository import SHOWN
from tasks_service.visibility.repository import IDS, project, project_member, task
from tasks_service.watchers.models import Watcher

assignee = table_of(Assignee)
alias = table_of(TaskKeyAlias)
document = table_of(SearchDocument)
category = table_of(Category)
comment = table_of(Comment)
entry = table_of(TaskMetadata)
item = table_of(ChecklistItem)
label = table_of(Label)
personal_label = table_of(PersonalLabel)
prefix = table_of(ProjectPrefix)
reaction = table_of(Reaction)
relation = table_of(Relation)
share = table_of(TaskShare)
star = table_of(Star)
status = table_of(Status)
watcher = table_of(Watcher)

ID = PG_UUID(as_uuid=True)
CALLER = bindparam("caller_id", type_=ID)
APP = bindparam("app_id", type_=ID)
IN_WORKSPACE = bindparam("of_workspace", type_=ID)
OF_TASKS = bindparam("of_tasks", type_=IDS)
NAMED: Mapping[str, Table] = {"category": category, "label": label}
TASKS = task.join(project, project.c.id == task.c.project_id)
OF_ALL: tuple[ColumnElement[bool], ...] = (
    task.c.workspace_id == IN_WORKSPACE,
    task.c.deleted_at.is_(None),
    project.c.deleted_at.is_(None),
)
other = task.alias("other")
place = project.alias("place")


@dataclass(frozen=True, slots=True)
class Detail:
    """Something that hangs on tasks: which task it is, and what orders what one task has."""

    source: FromClause
    task_id: ColumnElement[UUID]
    key: Sequence[ColumnElement[Any]]
    columns: Sequence[ColumnElement[Any]]
    conditions: Sequence[ColumnElement[bool]] = field(default=())

    def after(self, last: Sequence[Any] | None, limit: int) -> Select[Any]:
        """Return the query of what comes after a task and a key."""
        order = (self.task_id, *self.key)
        query = select(*self.columns, self.task_id.label("of_task")).select_from(self.source)
        query = query.where(self.task_id == any_(OF_TASKS), *self.conditions).order_by(*order).limit(limit)
        return query if last is None else query.where(tuple_(*order) > tuple_(*last))


OTHER_END = relation.join(other, other.c.id == relation.c.to_task_id).join(place, place.c.id == other.c.project_id)
DETAILS: Mapping[str, Detail] = {
    "checklist_item": Detail(item, item.c.task_id, (item.c.id,), tuple(item.c)),
    "relation": Detail(
        OTHER_END,
        relation.c.from_task_id,
        (relation.c.id,),
        tuple(relation.c),
        (other.c.deleted_at.is_(None), place.c.deleted_at.is_(None)),
    ),
    "comment": Detail(comment, comment.c.task_id, (comment.c.id,), tuple(comment.c)),
    "reaction": Detail(
        reaction.join(comment, comment.c.id == reaction.c.comment_id),
        comment.c.task_id,
        (reaction.c.comment_id, reaction.c.emoji, reaction.c.user_id),
        tuple(reaction.c),
    ),
    "watcher": Detail(
        watcher,
        watcher.c.task_id,
        (watcher.c.user_id,),
        tuple(watcher.c),
        # That somebody has stopped watching is for nobody else.
        (or_(watcher.c.is_watching, watcher.c.user_id == CALLER),),
    ),
    "star": Detail(star, star.c.task_id, (star.c.user_id,), tuple(star.c), (star.c.user_id == CALLER,)),
    "personal_label": Detail(
        personal_label,
        personal_label.c.task_id,
        (personal_label.c.label_id,),
        tuple(personal_label.c),
        (personal_label.c.user_id == CALLER,),
    ),
    "task_metadata": Detail(
        entry,
        entry.c.task_id,
        (entry.c.namespace,),
        tuple(entry.c),
        (or_(entry.c.shared, entry.c.owner_id == APP),),
    ),
    "attachment": Detail(
        document,
        document.c.task_id,
        (document.c.id,),
        (document.c.id, document.c.task_id, document.c.title.label("name")),
        (document.c.kind == "attachment", document.c.title.is_not(None)),
    ),
}
NEEDED: Mapping[str, str] = {"comment": "comments", "reaction": "comments", "attachment": "attachments"}
"""What has to be asked for, and how."""


async def projects_after(
    session: AsyncSession, workspace_id: UUID, after: UUID | None, limit: int
) -> Sequence[RowMapping]:
    """Return projects of a workspace by id."""
    query = select(*project.c).where(project.c.workspace_id == workspace_id, project.c.deleted_at.is_(None))
    return await _walked(session, query, project.c.id, after, limit)


async def projects_by_id(session: AsyncSession, ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return these projects, but for those in the trash."""
    query = select(*project.c).where(project.c.id == any_(bindparam("ids", type_=IDS)), project.c.deleted_at.is_(None))
    return (await session.execute(query, {"ids": sorted(ids)})).mappings().all()


async def of_projects(session: AsyncSession, ids: Collection[UUID]) -> tuple[Sequence[RowMapping], ...]:
    """Return statuses, members, and prefixes that are or were theirs, of projects."""
    found = []
    for table, order in ((status, "position"), (project_member, "user_id"), (prefix, "prefix")):
        query = select(*table.c).where(table.c.project_id == any_(bindparam("ids", type_=IDS)))
        rows = await session.execute(query.order_by(table.c[order]), {"ids": sorted(ids)})
        found.append(rows.mappings().all())
    return tuple(found)


async def named_after(
    session: AsyncSession, kind: str, *, actor: Principal, workspace_id: UUID, after: UUID | None, limit: int
) -> Sequence[RowMapping]:
    """Return categories or labels by id: the workspace's, and the actor's own."""
    table = NAMED[kind]
    mine = or_(table.c.owner_id.is_(None), table.c.owner_id == actor.user_id)
    query = select(*table.c).where(table.c.workspace_id == workspace_id, mine)
    return await _walked(session, query, table.c.id, after, limit)


async def tasks_after(
    session: AsyncSession, workspace_id: UUID, after: UUID | None, limit: int
) -> Sequence[RowMapping]:
    """Return tasks of a workspace by id."""
    query = select(*SHOWN, project.c.name.label("project_name")).select_from(TASKS).where(*OF_ALL)
    return await _walked(session, query, task.c.id, after, limit, of_workspace=workspace_id)


async def tasks_by_id(session: AsyncSession, ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return these tasks, but for those in the trash."""
    query = select(*SHOWN, project.c.name.label("project_name")).select_from(TASKS)
    query = query.where(task.c.id == any_(OF_TASKS), *OF_ALL[1:])
    return (await session.execute(query, {"of_tasks": sorted(ids)})).mappings().all()


async def matching_ids(session: AsyncSession, wanted: Wanted, actor: Principal, ids: Collection[UUID]) -> set[UUID]:
    """Return which of these tasks a filter finds."""
    query, parameters = matching(actor, wanted.node, zone=wanted.zone)
    query = query.where(task.c.id == any_(OF_TASKS))
    rows = await session.execute(query, {**parameters, "of_tasks": sorted(ids)})
    return {row["id"] for row in rows.mappings()}


async def of_tasks(session: AsyncSession, ids: Collection[UUID]) -> tuple[Sequence[RowMapping], ...]:
    """Return assignees, shares and former keys of tasks."""
    found = []
    for table, order in ((assignee, "user_id"), (share, "user_id"), (alias, "key")):
        query = select(*table.c).where(table.c.task_id == any_(OF_TASKS)).order_by(table.c[order])
        found.append((await session.execute(query, {"of_tasks": sorted(ids)})).mappings().all())
    return tuple(found)


async def names_of(session: AsyncSession, kind: str, ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the names of categories or labels."""
    table = NAMED[kind]
    query = select(table.c.id, table.c.name).where(table.c.id == any_(bindparam("ids", type_=IDS)))
    return {row.id: row.name for row in await session.execute(query, {"ids": sorted(ids)})}


async def keys_of(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the keys of tasks."""
    query = select(*SHOWN).select_from(TASKS).where(task.c.id == any_(OF_TASKS))
    rows = (await session.execute(query, {"of_tasks": sorted(ids)})).mappings()
    return {row["id"]: row["key"] for row in rows}


async def task_ids_after(
    session: AsyncSession, workspace_id: UUID, after: UUID | None, until: UUID | None, limit: int
) -> Sequence[UUID]:
    """Return ids of tasks of a workspace, as far as one of them or, without, so many."""
    query = select(task.c.id).select_from(TASKS).where(*OF_ALL)
    if until is not None:
        query = query.where(task.c.id <= until)
    rows = await _walked(session, query, task.c.id, after, limit, of_workspace=workspace_id)
    return [row["id"] for row in rows]


async def details_after(
    session: AsyncSession,
    kind: str,
    *,
    task_ids: Collection[UUID],
    actor: Principal,
    last: Sequence[Any] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return what hangs on tasks, by task and key."""
    query = DETAILS[kind].after(last, limit)
    bound = {"of_tasks": sorted(task_ids), "caller_id": actor.user_id, "app_id": app_of(actor)}
    used = {name: value for name, value in bound.items() if name in query.compile().params}
    rows: Sequence[RowMapping] = (await session.execute(query, used)).mappings().all()
    return rows


async def _walked(
    session: AsyncSession,
    query: Select[Any],
    key: ColumnElement[UUID],
    after: UUID | None,
    limit: int,
    **parameters: object,
) -> Sequence[RowMapping]:
    if after is not None:
        query = query.where(key > after)
    rows: Sequence[RowMapping] = (await session.execute(query.order_by(key).limit(limit), parameters)).mappings().all()
    return rows
