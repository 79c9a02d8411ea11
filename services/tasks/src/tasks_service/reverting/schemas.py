from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt


class TaskRevert(BaseModel):
    """The version as which a task is to be again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"to_version": 3}]})

    to_version: StrictInt = Field(description="A version that the task had, as its history tells them.", examples=[3])


LABEL_SAYS = "A label is there no more, and is left out."
CATEGORY_SAYS = "The category is there no more; the task has none."
ASSIGNEE_SAYS = "Somebody can't see this task any more, and is left out."


def label_dropped(label_id: UUID) -> dict[str, Any]:
    """Return the warning of a label that does not come back."""
    return {"code": "LABEL_DROPPED", "message": LABEL_SAYS, "label_id": str(label_id)}


def category_dropped(category_id: UUID) -> dict[str, Any]:
    """Return the warning of a category that does not come back."""
    return {"code": "CATEGORY_DROPPED", "message": CATEGORY_SAYS, "category_id": str(category_id)}


def assignee_dropped(user_id: UUID) -> dict[str, Any]:
    """Return the warning of an assignee who does not come back."""
    return {"code": "ASSIGNEE_DROPPED", "message": ASSIGNEE_SAYS, "user_id": str(user_id)}
