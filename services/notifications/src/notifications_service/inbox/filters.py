"""What a caller asks of the inbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.identity import Principal

from notifications_service.inbox.rules import State


@dataclass(frozen=True, slots=True)
class InboxFilter:
    """Which notifications: all of these, where a part is given."""

    state: State = "all"
    archived: bool = False
    kinds: Sequence[str] = ()
    workspace_id: UUID | None = None
    task_id: UUID | None = None

    def fingerprint(self, caller: Principal, shape: str) -> bytes:
        """Return bytes that are equal for equal lists of the same caller alone."""
        return repr((caller.user_id, caller.credential_id, shape, self)).encode()
