"""Who may do what is sensitive: only somebody who has just proved to be the owner."""

from datetime import timedelta
from typing import Annotated

from chassis.identity import Principal
from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request

from auth_service.proofs import service as proofs
from auth_service.sessions import service
from auth_service.sessions.errors import StepUpRequired


async def recently_proven(request: Request, caller: CurrentPrincipal, write: Writing) -> Principal:
    """Return the caller of a sensitive write. Raises StepUpRequired when the last proof is too old."""
    within: timedelta = request.app.state.session_terms.step_up
    if not await service.is_recently_proven(write.session, caller=caller, within=within):
        raise StepUpRequired(data={"methods": await proofs.accepted_methods(write.session, caller.user_id)})
    return caller


RecentlyProven = Annotated[Principal, Depends(recently_proven, scope="function")]
