"""Which entries of the audit are asked for."""

from dataclasses import astuple, dataclass
from datetime import datetime
from uuid import UUID

from auth_service.audit.rules import AuditAction, Outcome


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """All that is given must hold; `since` is part of the time and `until` is not."""

    subject_id: UUID | None = None
    actor_id: UUID | None = None
    action: AuditAction | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fingerprint(self) -> bytes:
        """Return what tells this filter from any other."""
        return repr(astuple(self)).encode()
