"""Which accounts are asked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UserFilter:
    """All that is given must hold."""

    q: str | None = None
    status: str | None = None
    role: str | None = None
    kind: str | None = None
