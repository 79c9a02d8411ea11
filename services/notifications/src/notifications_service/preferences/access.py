"""Whose preferences a request is about: the caller's own, as a whole."""

from typing import Annotated

from chassis.errors import TokenRestricted
from chassis.identity import Principal
from chassis.web.identity import CurrentPrincipal
from chassis.web.routing import refuses
from fastapi import Depends


@refuses(TokenRestricted)
async def whole_caller(caller: CurrentPrincipal) -> Principal:
    """Return a caller that sees all that its user does. Raises TokenRestricted for a token that is for a part."""
    if caller.is_restricted:
        raise TokenRestricted
    return caller


WholeCaller = Annotated[Principal, Depends(whole_caller)]
