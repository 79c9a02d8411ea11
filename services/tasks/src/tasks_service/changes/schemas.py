"""A change before it has its place in the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid5

import orjson

UNRECORDED_FIELDS = frozenset({"version", "updated_at"})

Circle = Literal["workspace", "members", "admins", "project", "task"]
Audience = Circle | frozenset[UUID]
"""Who sees a change: all who are in its workspace, or without the guests, or its owners and admins; who sees its
project, or its task; or somebody alone."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    field: str
    old: Any
    new: Any

    def as_json(self) -> dict[str, Any]:
        return {"field": self.field, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True)
class ChangeDraft:
    """One change of one resource: its event type, what it is about, the whole resource afterwards, and who sees it.

    `task_id` is the task that it is about, of a task itself and of all that hangs on one; of what is between two,
    `related_task_id` is the other one. `also` see it whoever else does: somebody whom it takes out of the audience.
    It is `lost_by` those of who saw it before that do not see it any more: they are told no more than that it is gone.
    """

    type: str
    entity_type: str
    entity_id: UUID
    version: int
    changes: Sequence[FieldChange]
    resource: Mapping[str, Any]
    audience: Audience
    project_id: UUID | None = None
    task_id: UUID | None = None
    related_task_id: UUID | None = None
    also: frozenset[UUID] = frozenset()
    lost_by: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from: the id of its event, who made it (None is the service), when and why.

    Nobody is notified of what is `quiet`.
    """

    event_id: UUID
    actor: Mapping[str, Any] | None
    occurred_at: datetime
    reason: str | None = None
    quiet: bool = False


@dataclass(slots=True)
class Gathering:
    """Changes that are to be recorded together, with their workspaces, and why they were made."""

    reasons: list[str]
    drafts: list[tuple[UUID, ChangeDraft]] = field(default_factory=list)

    def add(self, workspace_id: UUID, drafts: Sequence[ChangeDraft], reason: str | None) -> None:
        """Take changes, and what there is to say of them beside what is said of all."""
        self.drafts += [(workspace_id, one) for one in drafts]
        if reason is not None:
            self.reasons.append(reason)

    def mark(self) -> tuple[int, int]:
        """Return where this is now, for `since` and `back_to`."""
        return len(self.drafts), len(self.reasons)

    def since(self, mark: tuple[int, int]) -> list[ChangeDraft]:
        """Return the changes that were taken since."""
        return [draft for _, draft in self.drafts[mark[0] :]]

    def back_to(self, mark: tuple[int, int]) -> None:
        """Forget what was taken since, which was rolled back."""
        del self.drafts[mark[0] :]
        del self.reasons[mark[1] :]


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[FieldChange]:
    """Compare two states of a resource as the API shows them; of a new one, list what is set."""
    old = before or {}
    return [
        FieldChange(name, old.get(name), value)
        for name, value in after.items()
        if name not in UNRECORDED_FIELDS and not is_same(old.get(name), value)
    ]


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal as JSON: within an object, 1 is not true, as it is in Python."""
    if isinstance(one, dict) and isinstance(other, dict):
        return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
    return bool(one == other)


def derived_id(kind: str, first: UUID, second: UUID) -> UUID:
    """Return the id of a resource that is told by two others, such as the star of somebody on a task."""
    return uuid5(first, f"{kind}:{second}")
