"""How endpoints come by a saved filter: loaded through what the caller sees, and authorised by the route's policy."""

from typing import Annotated

from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.names.errors import NamedMissing
from tasks_service.path_ids import FilterId
from tasks_service.permissions.access import require_policy
from tasks_service.saved_filters.policies import held
from tasks_service.saved_filters.repository import find_visible


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


ReadableFilter = Annotated[RowMapping, Depends(readable_filter, scope="function")]
WritableFilter = Annotated[RowMapping, Depends(writable_filter, scope="function")]
