from chassis.errors import NotFound
from chassis.web.app import APIRouter
from chassis.web.database import WriteSession
from chassis.web.identity import CallingService
from chassis.web.openapi import errors
from fastapi import Request
from sqlalchemy import RowMapping

from auth_service.api_tokens import service
from auth_service.api_tokens.policies import scopes_at_use
from auth_service.api_tokens.schemas import ACTIVE_EXAMPLE, ActiveToken, InactiveToken, TokenAnswer, TokenQuestion

internal = APIRouter(prefix="/internal/api-tokens", tags=["internal"])


@internal.post(
    "/resolve",
    summary="Tell the gateway what an API token may do",
    description=(
        "As new as the primary; the use is noted. A token that is presented from an address beyond its list is told "
        "too: the gateway refuses it, on every request."
    ),
    response_model=TokenAnswer,
    responses={
        200: {
            "description": "What the token may do now.",
            "content": {
                "application/json": {
                    "examples": {"active": {"value": ACTIVE_EXAMPLE}, "inactive": {"value": {"active": False}}}
                }
            },
        },
        **errors(NotFound),
    },
)
async def resolve_token(
    request: Request, body: TokenQuestion, _caller: CallingService, session: WriteSession
) -> ActiveToken | InactiveToken:
    state = request.app.state
    found = await service.resolve(
        session,
        sha256=bytes.fromhex(body.digest),
        address=body.address,
        peppers=state.peppers,
        verification_required=state.session_terms.verification_required,
    )
    return InactiveToken(active=False) if found is None else _active(found)


def _active(found: RowMapping) -> ActiveToken:
    return ActiveToken(
        active=True,
        token_id=found["id"],
        user_id=found["account_id"],
        kind="service_account" if found["kind"] == "service" else "user",
        roles=found["roles"],
        scopes=scopes_at_use(found["scopes"], found["roles"]),
        workspace_id=found["workspace_id"],
        project_ids=found["project_ids"],
        ip_allowlist=found["ip_allowlist"],
        read_only=found["read_only"],
        expires_at=found["expires_at"],
    )
