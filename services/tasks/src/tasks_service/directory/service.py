"""Who there is: what other services tell of people, and whom a caller may see of them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from chassis.paging import Paging
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.directory import repository


async def note_person(session: AsyncSession, *, person: Mapping[str, Any]) -> None:
    """Note a state of somebody, unless a newer one is known, or they are gone."""
    await repository.put(session, person)


async def bury_person(session: AsyncSession, *, user_id: UUID, kind: str) -> str | None:
    """Erase what is known of somebody for good; return the address that they had."""
    return await repository.bury(session, user_id, kind=kind)


async def list_people(
    reader: AsyncConnection, *, caller: Principal, workspace: RowMapping, prefix: str, paging: Paging
) -> tuple[Sequence[RowMapping], int]:
    """Return whom the caller sees of a workspace, and how many they are.

    Members see everybody; guests, and tokens for projects, those who share something with them.
    """
    narrowly = workspace["role"] == "guest" or caller.project_ids is not None
    return await repository.list_people(
        reader,
        caller,
        workspace["workspace_id"],
        narrowly=narrowly,
        prefix=prefix,
        limit=paging.per_page,
        offset=paging.offset,
    )
