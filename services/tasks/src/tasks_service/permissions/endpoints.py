from chassis.web.app import APIRouter
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.replies import reply
from chassis.web.routing import any_credential
from fastapi import Response

from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.permissions import service
from tasks_service.permissions.schemas import DECISIONS_EXAMPLE, Checks, DecisionOut

router = APIRouter(prefix="/api/v1/authz", tags=["permissions"])


@router.post(
    "/check",
    summary="Ask what you may do",
    description=(
        "Up to 100 questions at once, answered in their order and as a request would be: what is hidden from you is "
        "`NOT_FOUND` like what is not there, and the scopes and restrictions of an API token count."
    ),
    response_model=Envelope[list[DecisionOut]],
    responses={
        200: example(DECISIONS_EXAMPLE, description="One answer a question."),
        **errors(NotYetConsistent),
    },
)
@any_credential("a token may ask what it may do")
async def check_permissions(body: Checks, caller: CurrentPrincipal, connection: FreshConnection) -> Response:
    decisions = await service.decide(connection, caller=caller, checks=body.checks)
    return reply([DecisionOut(allowed=one.allowed, reason=one.reason, via=one.via) for one in decisions])
