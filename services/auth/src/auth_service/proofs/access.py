"""What is found out about a proof before a session is held."""

from dataclasses import dataclass
from typing import Annotated

from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request

from auth_service.credentials.service import Verdict
from auth_service.password_changes.access import workshop_of
from auth_service.password_changes.service import verify_own_password
from auth_service.proofs.schemas import StepUp


@dataclass(frozen=True, slots=True)
class Given:
    """A body, and what is known of the password in it."""

    body: StepUp
    verdict: Verdict | None


async def given_proof(request: Request, body: StepUp, caller: CurrentPrincipal) -> Given:
    """Return the body, its password verified before any session is held. Raises TooManyFailures."""
    if body.password is None:
        return Given(body, None)
    verdict = await verify_own_password(caller=caller, password=body.password, workshop=workshop_of(request))
    return Given(body, verdict)


GivenProof = Annotated[Given, Depends(given_proof)]
