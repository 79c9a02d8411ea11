"""How endpoints come by a category: loaded through what the caller sees, and authorised by the route's policy."""

from typing import Annotated

from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping

from tasks_service.categories.schemas import CATEGORY
from tasks_service.changes.access import FreshConnection
from tasks_service.names.errors import NamedMissing
from tasks_service.names.policies import held
from tasks_service.names.repository import find_visible
from tasks_service.path_ids import CategoryId
from tasks_service.permissions.access import require_policy


async def readable_category(
    category_id: CategoryId, caller: CurrentPrincipal, connection: FreshConnection
) -> RowMapping:
    """Load a category that the caller may see. Raises NamedMissing."""
    row = await find_visible(connection, CATEGORY.table, caller=caller, row_id=category_id)
    if row is None:
        raise NamedMissing
    return row


async def writable_category(
    request: Request, category_id: CategoryId, caller: CurrentPrincipal, write: Writing
) -> RowMapping:
    """Load a category for what the route's policy says, in the transaction of that. Raises NamedMissing, Forbidden."""
    row = await find_visible(write.session, CATEGORY.table, caller=caller, row_id=category_id)
    if row is None:
        raise NamedMissing
    require_policy(request, caller, held(caller, row))
    return row


ReadableCategory = Annotated[RowMapping, Depends(readable_category, scope="function")]
WritableCategory = Annotated[RowMapping, Depends(writable_category, scope="function")]
