"""Who may do what is sensitive: only somebody who has just proved to be the owner."""

from datetime import timedelta
from typing import Annotated

from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.proofs import service as proofs
from auth_service.sessions import service
from auth_service.sessions.errors import StepUpRequired


async def recently_proven(request: Request, caller: CurrentPrincipal, write: Writing) -> Principal:
    """Return the caller of a sensitive write. Raises StepUpRequired when the last proof is too old."""
    return await _proven(write.session, request, caller)


async def proven_apart(request: Request, caller: CurrentPrincipal) -> Principal:
    """Do the same in a transaction of its own, for what hashes a password after it. Raises StepUpRequired."""
    async with transaction(request.app.state.database) as session:
        return await _proven(session, request, caller)


async def _proven(session: AsyncSession, request: Request, caller: Principal) -> Principal:
    within: timedelta = request.app.state.session_terms.step_up
    if not await service.is_recently_proven(session, caller=caller, within=within):
        raise StepUpRequired(data={"methods": await proofs.accepted_methods(session, caller.user_id)})
    return caller


RecentlyProven = Annotated[Principal, Depends(recently_proven, scope="function")]
ProvenApart = Annotated[Principal, Depends(proven_apart)]
