"""SQL that finds projects by their names, and places to search in."""

from collections.abc import Sequence
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import Float, RowMapping, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.near_misses.rules import LEAST_LIKENESS
from tasks_service.visibility.repository import PROJECTS, project, seen_by, seen_projects, sight_of


async def find_projects(
    reader: AsyncConnection, *, caller: Principal, q: str, workspace_id: UUID | None, limit: int
) -> Sequence[RowMapping]:
    """Return the projects, archived ones too, whose names have the words or are like them, the likeliest first."""
    likeness = cast(func.tasks.search_likeness(q, project.c.name), Float).label("likeness")
    has_it = project.c.name.icontains(q, autoescape=True)
    conditions = [
        *seen_projects(sight_of(caller)),
        or_(has_it, project.c.prefix == q.upper(), likeness > LEAST_LIKENESS),
    ]
    if workspace_id is not None:
        conditions.append(project.c.workspace_id == workspace_id)
    query = (
        select(
            project.c.id,
            project.c.workspace_id,
            project.c.name,
            project.c.prefix,
            project.c.archived_at,
            likeness,
        )
        .select_from(PROJECTS)
        .where(*conditions)
        .order_by((project.c.prefix == q.upper()).desc(), has_it.desc(), likeness.desc(), project.c.id.desc())
        .limit(limit)
    )
    return (await reader.execute(query, seen_by(caller))).mappings().all()
