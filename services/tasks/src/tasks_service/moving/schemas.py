from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from tasks_service.tasks.schemas import StatusKey

MAX_STATUSES_MAPPED = 100
StatusMap = Annotated[dict[StatusKey, StatusKey], Field(max_length=MAX_STATUSES_MAPPED)]


class TaskMove(BaseModel):
    """Where a task goes, and what becomes of what is not there."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a07", "status_map": {"review": "doing"}}]
        },
    )

    project_id: UUID = Field(description="The project that takes it, of the same workspace.")
    status_map: StatusMap = Field(
        default_factory=dict,
        description="Keys of statuses of its project, each with the one of the other project that tasks get for it.",
    )
    drop_unmapped_labels: StrictBool = Field(
        default=False,
        description="Whether labels that are not there are dropped. Within a workspace they all are there.",
    )
