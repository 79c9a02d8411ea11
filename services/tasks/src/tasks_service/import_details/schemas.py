"""What has to be known of tasks to hang something on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import RowMapping

from tasks_service.import_sources.schemas import UNKNOWN, Incoming, Taking

ARCHIVED = "This project is archived: nothing in it changes."


@dataclass(frozen=True, slots=True)
class Tasks:
    """Tasks by what a file calls them; of those that there would be in a dry run nothing is known."""

    rows: Mapping[UUID, RowMapping]
    told: frozenset[UUID] = frozenset()

    def find(self, taking: Taking, one: Incoming, name: str = "task_id") -> RowMapping | None:
        """Return the task that a line names; None without one that takes a change, which is told."""
        wanted = getattr(one.line, name)
        row = self.rows.get(wanted)
        if row is None and wanted not in self.told:
            taking.fail(one.number, UNKNOWN, "There is no such task here.", name)
        elif row is not None and row["is_archived"]:
            taking.fail(one.number, "PROJECT_ARCHIVED", ARCHIVED, name)
            return None
        return row
