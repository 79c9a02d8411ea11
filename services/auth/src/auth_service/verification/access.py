"""A new address is chosen by somebody who has just proved to be the owner, and who knows the password."""

from typing import Annotated

from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request

from auth_service.proofs import service as proofs
from auth_service.sessions import service as sessions
from auth_service.sessions.errors import StepUpRequired


async def proven_apart(request: Request, caller: CurrentPrincipal) -> Principal:
    """Do what `sessions.access.RecentlyProven` does in a transaction of its own, for what hashes a password after it.

    Raises StepUpRequired.
    """
    state = request.app.state
    async with transaction(state.database) as session:
        if not await sessions.is_recently_proven(session, caller=caller, within=state.session_terms.step_up):
            raise StepUpRequired(data={"methods": await proofs.accepted_methods(session, caller.user_id)})
    return caller


ProvenApart = Annotated[Principal, Depends(proven_apart)]
