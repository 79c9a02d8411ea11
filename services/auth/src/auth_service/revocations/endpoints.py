from typing import Annotated

from chassis.errors import NotFound
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection
from chassis.web.identity import CallingService
from chassis.web.openapi import bare_example, errors
from fastapi import Query

from auth_service.revocations import repository
from auth_service.revocations.schemas import REVOCATIONS_EXAMPLE, RevocationsOut, RevokedSession, RevokedUser

internal = APIRouter(prefix="/internal/revocations", tags=["internal"])

LIMIT = 5000
INT64_MAX = 2**63 - 1


@internal.get(
    "",
    summary="List revocation marks for the gateway",
    description="All marks in force after `since`; 0 for everything.",
    response_model=RevocationsOut,
    responses={200: bare_example(REVOCATIONS_EXAMPLE, description="The marks."), **errors(NotFound)},
)
async def list_revocations(
    _caller: CallingService,
    connection: PrimaryConnection,
    since: Annotated[int, Query(ge=0, le=INT64_MAX, description="The `cursor` of the last answer.")] = 0,
) -> RevocationsOut:
    rows = await repository.since(connection, since, limit=LIMIT)
    return RevocationsOut(
        cursor=rows[-1]["id"] if rows else since,
        more=len(rows) == LIMIT,
        sessions=[RevokedSession(sid=r["subject"], expires_at=r["expires_at"]) for r in rows if r["kind"] == "session"],
        users=[
            RevokedUser(user_id=r["subject"], not_before=r["not_before"], expires_at=r["expires_at"])
            for r in rows
            if r["kind"] == "user"
        ],
    )
