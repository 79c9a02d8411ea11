"""Who is calling: what a verified identity says, and nothing that a request could claim for itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from chassis.errors import AppError, InsufficientScope, TokenReadOnly, TokenRestricted

CallerKind = Literal["user", "service"]
Via = Literal["session", "token", "bot"]
ScopeRefusal = Literal["INSUFFICIENT_SCOPE", "TOKEN_RESTRICTED", "TOKEN_READ_ONLY"]

READ_SUFFIX = ":read"
WHOLE_SUFFIX = ":*"
"""A scope that ends so is about the whole instance, whatever workspace or project something is in."""
REFUSALS: Mapping[ScopeRefusal, type[AppError]] = {
    "TOKEN_RESTRICTED": TokenRestricted,
    "TOKEN_READ_ONLY": TokenReadOnly,
}


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller.

    `session_id` is the login session, or the API token, that the call belongs to, and `via` says which: `bot` is a
    token of a service account. `roles` are roles of the whole instance (`user`, `admin`). `kind` is `service` for
    calls that a process of the system makes for itself.

    The rest bounds what an API token may do; a session has none of it. `scopes` are all that it may do;
    `workspace_id` and `project_ids` are all that it may see, None meaning whatever its user may see; with
    `read_only` it reads only. `expires_at` is when it is over, for what goes on after the request. What a caller may
    do with a given object is never in here: that is decided beside the data.
    """

    user_id: UUID
    session_id: UUID
    roles: frozenset[str] = field(default_factory=frozenset)
    scopes: frozenset[str] = field(default_factory=frozenset)
    kind: CallerKind = "user"
    via: Via = "session"
    workspace_id: UUID | None = None
    project_ids: frozenset[UUID] | None = None
    read_only: bool = False
    expires_at: datetime | None = None

    @property
    def is_session(self) -> bool:
        """Whether a person is logged in, rather than a token used."""
        return self.via == "session"

    @property
    def is_restricted(self) -> bool:
        """Whether the caller sees only a part of what its user sees."""
        return self.workspace_id is not None or self.project_ids is not None

    @property
    def credential_id(self) -> UUID:
        """What keeps its own idempotency keys: a user over all sessions, and every API token for itself.

        Tokens of one user may see different things, so what one was answered must not be replayed to another.
        """
        return self.user_id if self.is_session else self.session_id

    def scope_refusal(self, scope: str, *, reads: bool = False) -> ScopeRefusal | None:
        """Tell what keeps an API token from doing what asks for a scope; None when nothing does, as for sessions.

        Only reading is what asks for a scope that ends in `:read`, such as a search by POST, and whatever the caller
        says `reads`, such as a GET for any scope.
        """
        if self.is_session:
            return None
        if scope not in self.scopes:
            return "INSUFFICIENT_SCOPE"
        if self.is_restricted and scope.endswith(WHOLE_SUFFIX):
            return "TOKEN_RESTRICTED"
        if self.read_only and not reads and not scope.endswith(READ_SUFFIX):
            return "TOKEN_READ_ONLY"
        return None

    def require_scope(self, scope: str, *, reads: bool = False) -> None:
        """Raise InsufficientScope, TokenRestricted or TokenReadOnly where `scope_refusal` says so."""
        refusal = self.scope_refusal(scope, reads=reads)
        if refusal == "INSUFFICIENT_SCOPE":
            raise InsufficientScope.of(scope)
        if refusal is not None:
            raise REFUSALS[refusal]

    def reaches_workspace(self, workspace_id: UUID) -> bool:
        """Tell whether the restriction leaves a workspace; who is a member of it is another question."""
        return self.workspace_id is None or self.workspace_id == workspace_id

    def reaches_project(self, project_id: UUID | None) -> bool:
        """Tell whether the restriction leaves what is in a project; None is what is in no project."""
        return self.project_ids is None or project_id in self.project_ids

    def as_actor(self) -> dict[str, str]:
        """Return who acts and through what, as events and histories tell it."""
        actor = {
            "type": "service_account" if self.via == "bot" else "user",
            "id": str(self.user_id),
            "via": self.via,
        }
        return actor if self.is_session else {**actor, "token_id": str(self.session_id)}
