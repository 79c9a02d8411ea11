"""How a part of the past is asked for."""

from typing import Annotated
from uuid import UUID

from chassis.dates import Instant
from fastapi import Depends, Query

from tasks_service.history.filters import AuditFilter


async def audit_filter(
    actor: Annotated[UUID | None, Query(description="Who did it: id of a user or service account.")] = None,
    action: Annotated[
        str | None,
        Query(pattern=r"^[a-z_]{1,32}\.[a-z_]{1,32}$", description="What happened, such as `member.removed`."),
    ] = None,
    entity_id: Annotated[UUID | None, Query(description="What it was done to.")] = None,
    since: Annotated[Instant | None, Query(alias="from", description="Not before this instant (RFC 3339).")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Before this instant (RFC 3339).")] = None,
) -> AuditFilter:
    """Read the filter of an audit."""
    return AuditFilter(actor, action, entity_id, since, until)


AuditFilterQuery = Annotated[AuditFilter, Depends(audit_filter)]
