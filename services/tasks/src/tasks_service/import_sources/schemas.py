"""What is taken in of a file, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.errors import ErrorDetail
from chassis.identity import Principal

from tasks_service.changes.schemas import ChangeDraft
from tasks_service.projects.rules import ProjectLimits

UNKNOWN = "UNKNOWN_REFERENCE"
NO_MEMBER = "NOT_A_MEMBER"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A line of a file, by its number, that is what it should be."""

    number: int
    kind: str
    line: Any


@dataclass(frozen=True, slots=True)
class Terms:
    """By whom something is taken in, where, and who is there; in a dry run nothing is made.

    What is somebody's own is in their workspace, which is personal.
    """

    job_id: UUID
    workspace_id: UUID
    actor: Principal
    members: frozenset[UUID]
    limits: ProjectLimits
    is_personal: bool = False
    is_dry: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What something in a file is here; in a dry run there are only `facts` of it."""

    id: UUID
    facts: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Taking:
    """Lines that are taken in together: what is wrong with each, and what changes."""

    terms: Terms
    drafts: list[ChangeDraft] = field(default_factory=list)
    broken: dict[int, ErrorDetail] = field(default_factory=dict)
    warned: dict[int, list[ErrorDetail]] = field(default_factory=dict)

    def fail(self, number: int, code: str, message: str, field_name: str | None = None) -> None:
        """Leave a line out."""
        self.broken.setdefault(number, ErrorDetail(code, message, field_name))

    def warn(self, number: int, code: str, message: str, field_name: str | None = None) -> None:
        """Tell of what is left out of a line that is taken in."""
        detail = ErrorDetail(code, message, field_name)
        told = self.warned.setdefault(number, [])
        if detail not in told:
            told.append(detail)

    def who(self, number: int, user_id: UUID | None, field_name: str) -> UUID:
        """Return who did something: whoever is no member did it by the importer's hand."""
        actor_id = self.terms.actor.user_id
        if user_id is None or user_id in self.terms.members or user_id == actor_id:
            return user_id or actor_id
        self.warn(number, NO_MEMBER, "This is no member here: it is told as yours.", field_name)
        return actor_id

    def member(self, number: int, user_id: UUID | None, field_name: str) -> UUID | None:
        """Return somebody who is a member, or None."""
        if user_id is None or user_id in self.terms.members:
            return user_id
        self.warn(number, NO_MEMBER, "This is no member here, and is left out.", field_name)
        return None

    def merge(self, other: "Taking") -> None:
        """Add what came of further lines."""
        self.drafts += other.drafts
        self.broken |= other.broken
        for number, told in other.warned.items():
            self.warned.setdefault(number, []).extend(told)
