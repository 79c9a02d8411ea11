"""How endpoints come by a saved filter: loaded through what the caller sees, and authorised by the route's policy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from chassis.errors import ErrorDetail, InvalidInput
from chassis.identity import Principal
from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from chassis.web.routing import refuses
from fastapi import Depends, Query, Request
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.changes.access import FreshConnection
from tasks_service.listing.access import SORTABLE, sort_of
from tasks_service.listing.rules import RANK
from tasks_service.listing.schemas import Asked
from tasks_service.names.errors import NamedMissing
from tasks_service.path_ids import FilterId
from tasks_service.permissions.access import require_policy
from tasks_service.saved_filters.errors import FilterNotFound
from tasks_service.saved_filters.policies import held
from tasks_service.saved_filters.repository import find_visible
from tasks_service.saved_filters.rules import read


async def readable_filter(filter_id: FilterId, caller: CurrentPrincipal, connection: FreshConnection) -> RowMapping:
    """Load a saved filter that the caller may see. Raises NamedMissing."""
    row = await find_visible(connection, caller=caller, filter_id=filter_id)
    if row is None:
        raise NamedMissing
    return row


async def writable_filter(
    request: Request, filter_id: FilterId, caller: CurrentPrincipal, write: Writing
) -> RowMapping:
    """Load a saved filter for what the route's policy says, in its transaction. Raises NamedMissing, Forbidden."""
    row = await find_visible(write.session, caller=caller, filter_id=filter_id)
    if row is None:
        raise NamedMissing
    require_policy(request, caller, held(caller, row))
    return row


async def chosen(reader: AsyncConnection, caller: Principal, filter_id: UUID | None) -> RowMapping | None:
    """Load the saved filter that a list is asked for by. Raises FilterNotFound."""
    if filter_id is None:
        return None
    row = await find_visible(reader, caller=caller, filter_id=filter_id)
    if row is None:
        raise FilterNotFound(field="filter_id")
    return row


@refuses(FilterNotFound)
async def chosen_filter(
    caller: CurrentPrincipal,
    connection: FreshConnection,
    filter_id: Annotated[
        UUID | None,
        Query(
            description=(
                "A saved filter, joined with your other filters by AND, as yours: `me`, dates and what you see are your "
                "own. Its `sort` and its `q` count where you give none; yours take their place."
            )
        ),
    ] = None,
) -> RowMapping | None:
    """Load the saved filter that `filter_id` names. Raises FilterNotFound."""
    return await chosen(connection, caller, filter_id)


def narrowed(asked: Asked, saved: Mapping[Any, Any] | None) -> Asked:
    """Return what is asked for with a saved filter. Raises InvalidInput and InvalidFilter for what it means no more."""
    if saved is None:
        return _ranked(asked, field="sort")
    filters = asked.filters if saved["filter"] is None else (*asked.filters, read(saved["filter"]))
    q = saved["q"] if asked.q is None else asked.q
    if asked.sort or saved["sort"] is None:
        return _ranked(replace(asked, filters=filters, q=q), field="sort")
    sort = sort_of(saved["sort"].split(","), field="filter_id")
    return _ranked(replace(asked, filters=filters, q=q, sort=sort), field="filter_id")


def _ranked(asked: Asked, *, field: str) -> Asked:
    """Return what is asked for. Raises InvalidInput where it is sorted by how well it fits nothing."""
    if asked.q is None and any(order.name == RANK for order in asked.sort):
        sentence = "Only what is searched for has a rank: give `q`, too."
        raise InvalidInput(details=[ErrorDetail("NOT_ALLOWED", sentence, field, allowed=SORTABLE)])
    return asked


ReadableFilter = Annotated[RowMapping, Depends(readable_filter, scope="function")]
WritableFilter = Annotated[RowMapping, Depends(writable_filter, scope="function")]
ChosenFilter = Annotated[RowMapping | None, Depends(chosen_filter)]
