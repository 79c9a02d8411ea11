"""One change that is to be turned back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.versions.schemas import Expectation

WHATEVER = Expectation(is_given=True)
"""That nothing has changed since is seen from the log."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the log, of which everything is undone in a transaction, by somebody who has to be allowed to.

    `old` and `new` are by field, and `resource` is what it was afterwards. `former_statuses` are those that tasks had
    that moved with this one, by those that they got, and `together` all that is turned back with this. `warnings` take
    what can't be as it was. `known` are locked tasks as they are, in the trash or not, as far as they have been looked
    for; None for one that the actor does not see.
    """

    session: AsyncSession
    actor: Principal
    type: str
    entity_type: str
    entity_id: UUID
    project_id: UUID | None
    task_id: UUID | None
    changes: Sequence[Mapping[str, Any]]
    resource: Mapping[str, Any]
    former_statuses: Mapping[str, str] = field(default_factory=dict)
    together: frozenset[UUID] = frozenset()
    warnings: list[dict[str, Any]] = field(default_factory=list)
    known: dict[UUID, RowMapping | None] = field(default_factory=dict)

    @property
    def old(self) -> dict[str, Any]:
        """What the fields were."""
        return {one["field"]: one["old"] for one in self.changes}

    @property
    def new(self) -> dict[str, Any]:
        """What they became."""
        return {one["field"]: one["new"] for one in self.changes}


Inverse = Callable[[Step], Awaitable[None]]
"""Turns a change back through the use cases that made it, with their rules."""

InverseOfMany = Callable[[Sequence[Step]], Awaitable[None]]
"""Turns changes of one type back at once, the first one first; or raises NotApart, so that it is done by halves."""
