"""Whose preferences a request is about, the caller's own, as a whole; and for which places."""

from typing import Annotated

from chassis.errors import TokenRestricted
from chassis.identity import Principal
from chassis.web.identity import CurrentPrincipal
from chassis.web.routing import refuses
from fastapi import Depends, Request

from notifications_service.preferences.schemas import PreferencesPut
from notifications_service.scopes.access import await_scopes


@refuses(TokenRestricted)
async def whole_caller(caller: CurrentPrincipal) -> Principal:
    """Return a caller that sees all that its user does. Raises TokenRestricted for a token that is for a part."""
    if caller.is_restricted:
        raise TokenRestricted
    return caller


WholeCaller = Annotated[Principal, Depends(whole_caller)]


async def placed_preferences(request: Request, body: PreferencesPut, caller: WholeCaller) -> PreferencesPut:
    """Return a body whose places are known here if the caller sees them."""
    scopes = [one.scope for one in body.preferences]
    await await_scopes(request, caller, [(one.type, one.id) for one in scopes if one.id is not None])
    return body


PlacedPreferences = Annotated[PreferencesPut, Depends(placed_preferences)]
