"""What a list of tasks can be narrowed by; different fields are joined by AND, values of one field by OR."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from tasks_service.tasks.rules import Priority, StatusCategory


@dataclass(frozen=True, slots=True)
class TaskFilter:
    workspace_id: UUID | None
    project_id: UUID | None
    status: tuple[str, ...]
    status_category: tuple[StatusCategory, ...]
    priority: tuple[Priority, ...]
    parent: UUID | Literal["none"] | None = None

    def fingerprint(self) -> str:
        """Return a text that is equal for equal filters."""
        several = (self.status, self.status_category, self.priority)
        return repr((self.workspace_id, self.project_id, [sorted(one) for one in several], self.parent))
