"""How a part of the audit is asked for."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from chassis.paging import Paging
from chassis.web.pagination import DEFAULT_PER_PAGE, Cursor, PerPage
from fastapi import Depends, Query
from pydantic import AwareDatetime

from auth_service.audit.filters import AuditFilter
from auth_service.audit.rules import AuditAction, Outcome

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 12, 31, tzinfo=UTC)


def cursor_paging(per_page: PerPage = DEFAULT_PER_PAGE, cursor: Cursor = "") -> Paging:
    """Read how a list is walked that only grows: by cursor."""
    return Paging(1, per_page, cursor)


def audit_filter(
    user_id: Annotated[UUID | None, Query(description="The account that it happened to.")] = None,
    actor_id: Annotated[UUID | None, Query(description="Who did it.")] = None,
    action: Annotated[AuditAction | None, Query(description="What happened.")] = None,
    outcome: Annotated[Outcome | None, Query(description="How it ended.")] = None,
    since: Annotated[
        AwareDatetime | None,
        Query(alias="from", ge=EARLIEST, le=LATEST, description="Not before this instant (RFC 3339)."),
    ] = None,
    until: Annotated[
        AwareDatetime | None, Query(alias="to", ge=EARLIEST, le=LATEST, description="Before this instant (RFC 3339).")
    ] = None,
) -> AuditFilter:
    """Read the filter of the audit."""
    return AuditFilter(user_id, actor_id, action, outcome, since, until)


AuditFilterQuery = Annotated[AuditFilter, Depends(audit_filter)]
CursorPaging = Annotated[Paging, Depends(cursor_paging)]
