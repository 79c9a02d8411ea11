"""Who is calling: what a verified identity says, and nothing that a request could claim for itself."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

CallerKind = Literal["user", "service"]


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller.

    `session_id` is the login session (or API token) that the call belongs to; `roles` are roles of the whole
    instance (`user`, `admin`); `scopes` bound what the credential may do, an empty set meaning everything the
    user may do. `kind` is `service` for calls that a process of the system makes for itself. What a
    caller may do with a given object is never in here: that is decided beside the data.
    """

    user_id: UUID
    session_id: UUID
    roles: frozenset[str] = field(default_factory=frozenset)
    scopes: frozenset[str] = field(default_factory=frozenset)
    kind: CallerKind = "user"
