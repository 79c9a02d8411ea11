"""All SQL that looks for what many operations name, and locks it: a statement a kind, however many there are."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import (
    CompoundSelect,
    RowMapping,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.names.repository import visible
from tasks_service.subtasks.repository import DEEPEST
from tasks_service.tasks.repository import KEY, alias, task
from tasks_service.visibility.repository import (
    IDS,
    PROJECTS,
    TASKS,
    WORKSPACE_ROLE,
    Sight,
    member,
    project,
    seen_by,
    seen_projects,
    seen_tasks,
    sight_of,
    workspace,
)

WANTED = bindparam("wanted", type_=IDS)


@cache
def _by_keys(sight: Sight) -> CompoundSelect[Any]:
    keys: Any = bindparam("keys", type_=ARRAY(Text))
    pairs = func.unnest(bindparam("prefixes", type_=ARRAY(Text)), bindparam("numbers", type_=ARRAY(task.c.number.type)))
    wanted = pairs.table_valued("prefix", "number", name="wanted_key").render_derived()
    now = (
        select(task.c.id, KEY, literal(False).label("is_former"))
        .select_from(TASKS.join(wanted, (wanted.c.prefix == project.c.prefix) & (wanted.c.number == task.c.number)))
        .where(*seen_tasks(sight, in_trash=None))
    )
    once = (
        select(task.c.id, alias.c.key, literal(True))
        .select_from(TASKS.join(alias, alias.c.task_id == task.c.id))
        .where(*seen_tasks(sight, in_trash=None), alias.c.key == any_(keys))
        .where(alias.c.workspace_id == task.c.workspace_id)
    )
    return union_all(now, once)


async def find_by_keys(
    session: AsyncSession, *, caller: Principal, keys: Iterable[tuple[str, int]]
) -> list[RowMapping]:
    """Return the `id` of each task that the caller sees and that has one of these keys (`key`), or had it.

    Whether it is in the trash or not. The keys are prefixes and numbers.
    """
    wanted = sorted(set(keys))
    parameters = {
        "prefixes": [prefix for prefix, _ in wanted],
        "numbers": [number for _, number in wanted],
        "keys": [f"{prefix}-{number}" for prefix, number in wanted],
    }
    rows = await session.execute(_by_keys(sight_of(caller)), {**seen_by(caller), **parameters})
    return list(rows.mappings())


async def below(session: AsyncSession, task_ids: Iterable[UUID]) -> Sequence[RowMapping]:
    """Return `id`, `workspace_id` and `assignees` of all below these tasks, in the trash or not, whoever sees it."""
    child = task.alias("child")
    columns = (child.c.id, child.c.workspace_id, child.c.assignees)
    first = select(*columns, literal(1).label("depth")).where(child.c.parent_id == any_(WANTED))
    walk = first.cte("below", recursive=True)
    further = select(*columns, walk.c.depth + 1).join(walk, child.c.parent_id == walk.c.id)
    walk = walk.union_all(further.where(walk.c.depth < DEEPEST))
    rows = await session.execute(select(*walk.c), {"wanted": sorted(task_ids)})
    return rows.mappings().all()


@cache
def _projects(sight: Sight) -> Select[Any]:
    return (
        select(project.c.id, project.c.workspace_id)
        .select_from(PROJECTS)
        .where(*seen_projects(sight), project.c.id == any_(WANTED))
    )


async def places_of(session: AsyncSession, *, caller: Principal, project_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the workspaces of those of the projects that the caller sees."""
    rows = await session.execute(_projects(sight_of(caller)), {**seen_by(caller), "wanted": sorted(project_ids)})
    return {row.id: row.workspace_id for row in rows}


async def keep(
    session: AsyncSession, table: Table, *, caller: Principal, row_ids: Iterable[UUID]
) -> dict[UUID, RowMapping]:
    """Return those of the labels or categories that the caller sees, kept from being deleted until the end."""
    query = (
        select(*table.c, WORKSPACE_ROLE, workspace.c.require_if_match)
        .join(member, member.c.workspace_id == table.c.workspace_id)
        .join(workspace, workspace.c.id == table.c.workspace_id)
        .where(*visible(table, sight_of(caller)), table.c.id == any_(WANTED))
        .order_by(table.c.id)
        .with_for_update(of=table, read=True, key_share=True)
    )
    rows = await session.execute(query, {**seen_by(caller), "wanted": sorted(row_ids)})
    return {row["id"]: row for row in rows.mappings()}
