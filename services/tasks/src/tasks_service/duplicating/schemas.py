import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from tasks_service.duplicating.rules import USUAL, Part
from tasks_service.tasks.schemas import Title

SHIFT = r"^-?P(?:[0-9]{1,4}W|[0-9]{1,5}D)$"
SAYS = "Assignees can't see the copy, and are none of it."


class TaskDuplicate(BaseModel):
    """What of a task is copied, where to, and what is another there."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"title": "Buy oat milk", "shift_dates": "P7D", "include": ["checklist"]}]},
    )

    include: Annotated[list[Part], Field(max_length=20)] = Field(
        default_factory=lambda: [*USUAL],
        description="What is copied beside the task's own fields; all but relations when absent.",
    )
    title: Title | None = Field(default=None, description="Title of the copy; that of the task when absent.")
    project_id: UUID | None = Field(
        default=None, description="The project that takes the copy, of the same workspace; the task's own when absent."
    )
    shift_dates: Annotated[str, StringConstraints(pattern=SHIFT)] | None = Field(
        default=None,
        description="By how much later its dates are: whole days or weeks, such as `P7D`, `P2W` or `-P1D`.",
        examples=["P7D"],
    )
    with_status: StrictBool = Field(
        default=False, description="Whether statuses are copied; else each task has the first one of its project."
    )

    @property
    def days(self) -> int:
        """By how many days later dates are."""
        if self.shift_dates is None:
            return 0
        number = int(re.sub(r"\D", "", self.shift_dates))
        days = number * 7 if self.shift_dates.endswith("W") else number
        return -days if self.shift_dates.startswith("-") else days


def assignees_dropped(task_id: UUID, people: list[UUID]) -> dict[str, Any]:
    """Return the warning of assignees of a task who are none of its copy."""
    return {
        "code": "ASSIGNEE_DROPPED",
        "message": SAYS,
        "task_id": str(task_id),
        "user_ids": [str(one) for one in people],
    }
