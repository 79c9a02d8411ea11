"""All SQL on what blocks tasks."""

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.direct_writing import MADE_ONCE
from chassis.identity import Principal
from sqlalchemy import RowMapping, Select, any_, bindparam, exists, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.relations.models import Relation
from tasks_service.visibility.repository import TASKS, Sight, project, seen_by, seen_tasks, sight_of, task

relation = table_of(Relation)
blocker = task.alias("blocker")
blocked = task.alias("blocked")
its_project = project.alias("its_project")
blockers_project = project.alias("blockers_project")


async def find_open(session: AsyncSession, *, caller: Principal, task_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    """Return the open blockers of tasks whose projects ask for them: `rule`, and whether the caller sees each.

    What is in the trash, or in a project there, blocks nothing.
    """
    rows = await session.execute(_open(sight_of(caller)), {**seen_by(caller), "of_tasks": list(task_ids)})
    found: Sequence[RowMapping] = rows.mappings().all()
    return found


@cache
def _open(sight: Sight) -> Select[Any]:
    is_seen = exists().select_from(TASKS).where(*seen_tasks(sight), task.c.id == blocker.c.id).correlate(blocker)
    return (
        select(blocker.c.id, its_project.c.enforce_blockers.label("rule"), is_seen.label("is_seen"))
        .select_from(relation)
        .join(blocked, blocked.c.id == relation.c.to_task_id)
        .join(its_project, its_project.c.id == blocked.c.project_id)
        .join(blocker, blocker.c.id == relation.c.from_task_id)
        .join(blockers_project, blockers_project.c.id == blocker.c.project_id)
        .where(
            relation.c.type == "blocks",
            relation.c.to_task_id == any_(bindparam("of_tasks", type_=ARRAY(PG_UUID(as_uuid=True)))),
            its_project.c.enforce_blockers != "off",
            blocker.c.deleted_at.is_(None),
            blockers_project.c.deleted_at.is_(None),
            blocker.c.status_category != "done",
            blocker.c.status_category != "cancelled",
        )
        .order_by(blocker.c.id)
        .execution_options(**MADE_ONCE)
    )
