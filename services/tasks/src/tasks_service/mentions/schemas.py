from dataclasses import dataclass
from typing import Any
from uuid import UUID

NO_ACCESS = "MENTION_NO_ACCESS"


@dataclass(frozen=True, slots=True)
class Mentions:
    """Whom a text mentions: those who may see what it is on, and everybody else, whether they are there or not."""

    reached: list[UUID]
    unreached: list[UUID]

    def warnings(self) -> list[dict[str, Any]]:
        """Return what the author is warned of, for the answer's `meta.warnings`."""
        if not self.unreached:
            return []
        return [
            {
                "code": NO_ACCESS,
                "message": "These people can't see this and are not notified.",
                "user_ids": [str(one) for one in self.unreached],
            }
        ]


NOBODY = Mentions([], [])
