from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.openapi import errors, example
from chassis.web.replies import NO_STORE
from chassis.web.routing import session_only
from fastapi import Response

from auth_service.exports import service
from auth_service.exports.schemas import DATA_EXPORT_EXAMPLE, DataExportOut
from auth_service.sessions.access import RecentlyProven
from auth_service.sessions.errors import StepUpRequired

router = APIRouter(prefix="/api/v1/users", tags=["users"])


@router.post(
    "/me/export",
    summary="Export the own data",
    description=(
        "All that the auth service holds about the caller, as one document: profile, sessions, API tokens, second "
        "factors, identities, known networks and audit. Nothing in it lets anybody in, and no copy of it is kept: the "
        "same request again is answered anew, whatever its idempotency key. Needs a recent login or step-up."
    ),
    response_model=Envelope[DataExportOut],
    responses={
        200: example(DATA_EXPORT_EXAMPLE, description="The data."),
        **errors(StepUpRequired),
    },
)
@session_only("an account is its owner's, not a program's")
async def export_data(caller: RecentlyProven, write: Writing) -> Response:
    return write.reply_afresh(await service.export_data(write.session, caller=caller), headers=NO_STORE)
