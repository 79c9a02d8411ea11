"""How a part of the audit is asked for."""

from typing import Annotated
from uuid import UUID

from chassis.dates import Instant
from fastapi import Depends, Query

from auth_service.audit.filters import AuditFilter
from auth_service.audit.rules import AuditAction, Outcome


async def audit_filter(
    user_id: Annotated[UUID | None, Query(description="The account that it happened to.")] = None,
    actor_id: Annotated[UUID | None, Query(description="Who did it.")] = None,
    action: Annotated[AuditAction | None, Query(description="What happened.")] = None,
    outcome: Annotated[Outcome | None, Query(description="How it ended.")] = None,
    since: Annotated[Instant | None, Query(alias="from", description="Not before this instant (RFC 3339).")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Before this instant (RFC 3339).")] = None,
) -> AuditFilter:
    """Read the filter of the audit."""
    return AuditFilter(user_id, actor_id, action, outcome, since, until)


AuditFilterQuery = Annotated[AuditFilter, Depends(audit_filter)]
