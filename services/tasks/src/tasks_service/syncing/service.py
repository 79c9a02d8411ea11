"""Writing and reading in one round trip: operations, each for itself, and then what has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.bulk.service import Terms, change_tasks
from tasks_service.bulk_operations.schemas import AnyOperation
from tasks_service.bulk_steps.schemas import Outcome
from tasks_service.changes import repository as log
from tasks_service.feed.schemas import Part, Wanted
from tasks_service.feed.service import read_changes

PARTIAL = Terms("partial")


async def sync(
    session: AsyncSession,
    *,
    operations: Sequence[AnyOperation],
    actor: Principal,
    wanted: Wanted,
    signer: CursorSigner,
    kept_since: datetime,
) -> tuple[list[Outcome], Part]:
    """Do operations, each for itself, and return what became of them with the changes since a position.

    Without a position that is where the log is before. The changes are read in the same transaction, whose own numbers
    are the last of their workspaces until it ends, so no number is missing that is lower. Raises what change_tasks and
    read_changes raise, and then nothing was done.
    """
    begun = wanted if wanted.positions is not None else replace(wanted, positions=await _now(session, actor))
    outcomes = await change_tasks(session, operations=operations, terms=PARTIAL, actor=actor) if operations else []
    part = await read_changes(session, caller=actor, wanted=begun, signer=signer, kept_since=kept_since)
    return outcomes, part


async def _now(session: AsyncSession, actor: Principal) -> Mapping[UUID, int]:
    return await log.heads_for(session, actor)
