from chassis.errors import CursorMismatch, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection
from chassis.web.envelope import PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import Responses, enveloped, errors
from chassis.web.pagination import CursorPaging, paged_reply
from chassis.web.routing import scope, session_only
from fastapi import Request, Response
from sqlalchemy import RowMapping

from auth_service.administration.access import InstanceAdmin
from auth_service.administration.errors import AdministratorsOnly
from auth_service.audit import service
from auth_service.audit.access import AuditFilterQuery
from auth_service.audit.filters import AuditFilter
from auth_service.audit.schemas import AUDIT_EXAMPLE, AuditEntryOut

own = APIRouter(prefix="/api/v1/users", tags=["users"])
of_all = APIRouter(prefix="/api/v1/admin", tags=["admin"])


EXAMPLE = enveloped([AUDIT_EXAMPLE], per_page=20, next_cursor=None, prev_cursor=None, has_more=False)
FOUND: Responses = {200: {"description": "A part of the audit.", "content": {"application/json": {"example": EXAMPLE}}}}


@own.get(
    "/me/audit",
    summary="Read what happened to the own account",
    description=(
        "Logins, failed ones too, and all that was done with the account, the newest first. From where an "
        "administrator did it is not shown."
    ),
    response_model=PageEnvelope[AuditEntryOut],
    responses={**FOUND, **errors(InvalidCursor, CursorMismatch)},
)
@session_only("an account is its owner's, not a program's")
async def read_own_audit(
    request: Request, caller: CurrentPrincipal, connection: PrimaryConnection, paging: CursorPaging
) -> Response:
    wanted = AuditFilter(subject_id=caller.user_id)
    page = await service.read(connection, caller=caller, wanted=wanted, paging=paging, signer=request.app.state.cursors)
    entries = [AuditEntryOut.model_validate({**row, **service.hidden_from(row, caller)}) for row in page.rows]
    return paged_reply(request, entries, paging, page.meta)


@of_all.get(
    "/audit",
    summary="Read the audit",
    description=(
        "All that happened to the security of accounts, the newest first; `from` and `to` bound its time. An entry "
        "changes only when its account is deleted for good: then it tells no more from where and with what. For "
        "administrators of the instance."
    ),
    response_model=PageEnvelope[AuditEntryOut],
    responses={**FOUND, **errors(AdministratorsOnly, InvalidCursor, CursorMismatch)},
)
@scope("admin:*")
async def read_audit(
    request: Request,
    caller: InstanceAdmin,
    connection: PrimaryConnection,
    wanted: AuditFilterQuery,
    paging: CursorPaging,
) -> Response:
    page = await service.read(connection, caller=caller, wanted=wanted, paging=paging, signer=request.app.state.cursors)
    return paged_reply(request, [_entry(row) for row in page.rows], paging, page.meta)


def _entry(row: RowMapping) -> AuditEntryOut:
    return AuditEntryOut.model_validate(dict(row))
