"""Which changes are asked for."""

from dataclasses import astuple, dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """All that is given must hold; `since` is part of the time and `until` is not."""

    actor_id: UUID | None = None
    action: str | None = None
    entity_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fingerprint(self) -> bytes:
        """Return what tells this filter from any other."""
        return repr(astuple(self)).encode()
