"""Who administers the instance, and how accounts are asked for."""

from typing import Annotated, Literal

from chassis.db.engine import Database
from chassis.identity import Principal
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Query, Request

from auth_service.administration.errors import AdministratorsOnly
from auth_service.administration.filters import UserFilter
from auth_service.users import repository as users
from auth_service.users.rules import ADMIN

Text = Annotated[
    str | None,
    Query(max_length=200, description="Words of the name or address, or how they begin, in any order and case."),
]
Status = Annotated[
    Literal["active", "deactivated", "disabled", "deleting", "deleted"] | None,
    Query(description="The state of the account."),
]
Role = Annotated[Literal["user", "admin"] | None, Query(description="A role in the instance.")]
Kind = Annotated[Literal["human", "service"] | None, Query(description="People, or programs.")]


async def instance_admin(request: Request, caller: CurrentPrincipal) -> Principal:
    """Return a caller who administers the instance. Raises AdministratorsOnly.

    The token says what was so when it was made; the account says whether it still is.
    """
    if ADMIN not in caller.roles:
        raise AdministratorsOnly
    database: Database = request.app.state.database
    async with database.primary.connect() as connection:
        row = await users.find(connection, caller.user_id)
    if row is None or row["status"] != "active" or ADMIN not in row["roles"]:
        raise AdministratorsOnly
    return caller


InstanceAdmin = Annotated[Principal, Depends(instance_admin, scope="function")]


async def user_filter(q: Text = None, status: Status = None, role: Role = None, kind: Kind = None) -> UserFilter:
    """Read the filter of a list of users."""
    return UserFilter(q, status, role, kind)


UserFilterQuery = Annotated[UserFilter, Depends(user_filter)]
