"""All SQL on what was made of files."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID, uuid5

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import ColumnElement, any_, bindparam, delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.import_sources.models import ImportSeen, ImportSource
from tasks_service.import_sources.schemas import Target, Terms
from tasks_service.jobs.models import Job
from tasks_service.visibility.repository import IDS, member

job = table_of(Job)
seen = table_of(ImportSeen)
source = table_of(ImportSource)

SOURCES = bindparam("sources", type_=IDS)


async def members_of(session: AsyncSession, workspace_id: UUID) -> frozenset[UUID]:
    """Return who is a member of a workspace."""
    rows = await session.execute(select(member.c.user_id).where(member.c.workspace_id == workspace_id))
    return frozenset(rows.scalars())


async def find(session: AsyncSession, terms: Terms, kind: str, ids: Iterable[UUID | None]) -> dict[UUID, Target]:
    """Return what is known of things in files: what was made of them, and in a dry run what would be."""
    wanted = sorted({one for one in ids if one is not None})
    if not wanted:
        return {}
    made = select(source.c.source_id, source.c.target_id).where(
        source.c.workspace_id == terms.workspace_id, source.c.kind == kind, source.c.source_id == any_(SOURCES)
    )
    found = {row.source_id: Target(row.target_id) for row in await session.execute(made, {"sources": wanted})}
    if terms.is_dry:
        told = select(seen.c.source_id, seen.c.facts).where(
            seen.c.job_id == terms.job_id, seen.c.kind == kind, seen.c.source_id == any_(SOURCES)
        )
        for row in await session.execute(told, {"sources": wanted}):
            # An id of nothing: that of the file may be one of something else that is here.
            found.setdefault(row.source_id, Target(uuid5(terms.job_id, str(row.source_id)), row.facts))
    return found


async def claim(
    session: AsyncSession,
    terms: Terms,
    kind: str,
    targets: Mapping[UUID, UUID],
    *,
    made: Collection[UUID] | None = None,
) -> set[UUID]:
    """Note what is made of things in a file; return those that nobody has made anything of, waiting for who is.

    Targets that are not among `made` were there before.
    """
    common = {"workspace_id": terms.workspace_id, "kind": kind}
    rows = [
        {
            **common,
            "source_id": one,
            "target_id": targets[one],
            "is_made": made is None or targets[one] in made,
        }
        for one in sorted(targets)
    ]
    if not rows:
        return set()
    statement = insert(source).values(rows).on_conflict_do_nothing().returning(source.c.source_id)
    return set((await session.execute(statement)).scalars())


async def remember(session: AsyncSession, terms: Terms, kind: str, facts: Mapping[UUID, Mapping[str, Any]]) -> None:
    """Note what a dry run has read."""
    rows = [
        {
            "job_id": terms.job_id,
            "kind": kind,
            "source_id": one,
            "workspace_id": terms.workspace_id,
            "created_by": terms.actor.user_id,
            "times": 1,
            "facts": dict(facts[one]),
        }
        for one in sorted(facts)
    ]
    if rows:
        await session.execute(insert(seen).values(rows).on_conflict_do_nothing())


async def count_again(session: AsyncSession, terms: Terms, kind: str, times: Mapping[UUID, int]) -> dict[UUID, int]:
    """Count how often something has come in a file, and return how often it had come before."""
    rows = [
        {
            "job_id": terms.job_id,
            "kind": kind,
            "source_id": one,
            "workspace_id": terms.workspace_id,
            "created_by": terms.actor.user_id,
            "times": times[one],
            "facts": {},
        }
        for one in sorted(times)
    ]
    if not rows:
        return {}
    statement = insert(seen).values(rows)
    statement = statement.on_conflict_do_update(
        index_elements=["job_id", "kind", "source_id"], set_={"times": seen.c.times + statement.excluded.times}
    )
    counted = await session.execute(statement.returning(seen.c.source_id, seen.c.times))
    return {row.source_id: row.times - times[row.source_id] for row in counted}


async def are_made_here(session: AsyncSession, terms: Terms, kind: str, targets: Collection[UUID]) -> set[UUID]:
    """Return which of these were made by imports."""
    query = select(source.c.target_id).where(
        source.c.workspace_id == terms.workspace_id,
        source.c.kind == kind,
        source.c.target_id == any_(SOURCES),
        source.c.is_made,
    )
    return set((await session.execute(query, {"sources": sorted(targets)})).scalars())


async def forget(session: AsyncSession, job_id: UUID) -> None:
    """Delete what a job has noted of its file for itself."""
    await session.execute(delete(seen).where(seen.c.job_id == job_id))


async def forget_what_is_gone(
    session: AsyncSession, terms: Terms, kind: str, ids: Collection[UUID], is_there: ColumnElement[bool]
) -> None:
    """Let things be made again that were deleted for good; `is_there` finds the row of a target."""
    gone = (
        delete(source)
        .where(source.c.workspace_id == terms.workspace_id, source.c.kind == kind, source.c.source_id == any_(SOURCES))
        .where(~exists().where(is_there).correlate(source))
    )
    await session.execute(gone, {"sources": sorted(ids)})


async def release(session: AsyncSession, terms: Terms, kind: str, ids: Collection[UUID]) -> None:
    """Take back that something is made of things in a file."""
    if ids:
        mine = (source.c.workspace_id == terms.workspace_id, source.c.kind == kind, source.c.source_id == any_(SOURCES))
        await session.execute(delete(source).where(*mine), {"sources": sorted(ids)})


async def purge(session: AsyncSession) -> bool:
    """Delete a batch of what jobs have noted that are not there any more; tell whether there may be more."""
    return await delete_batch(session, seen, ~exists().where(job.c.id == seen.c.job_id))
