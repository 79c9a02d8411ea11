"""What is there of what operations name, when all of it is locked."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import RowMapping


@dataclass(slots=True)
class Found:
    """Rows by id: None for what was looked for and is not to be seen.

    `tasks` are in the trash or not. `keys` has the tasks that a key may name, each with whether it is a former one;
    it is empty for a key of nothing that the caller sees.
    """

    tasks: dict[UUID, RowMapping | None] = field(default_factory=dict)
    labels: dict[UUID, RowMapping | None] = field(default_factory=dict)
    keys: dict[str, list[tuple[UUID, bool]]] = field(default_factory=dict)
