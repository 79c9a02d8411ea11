from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from tasks_service.bulk_operations.rules import Mode
from tasks_service.bulk_operations.schemas import MAX_OPERATIONS, BulkTaskPatch
from tasks_service.fields.schemas import WrittenFilter
from tasks_service.tasks.rules import NAME_PATTERN
from tasks_service.timezones.schemas import ZoneName

PlainName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class PatchOfMany(BulkTaskPatch):
    """A merge patch, as `PATCH /tasks/{id}` takes it; the parent may be named by a key, too."""

    parent_id: PlainName | None = Field(default=None, description="The task that they are to be subtasks of.")


class BulkByFilter(BaseModel):
    """The same change of all tasks that a filter finds."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "filter": "status = review and updated_at < today()-30d",
                    "patch": {"status": "todo"},
                    "expected_count": 2,
                },
                {
                    "filter": {"field": "assignees", "op": "=", "value": "me"},
                    "patch": {"priority": "high"},
                    "expected_count": 17,
                    "mode": "partial",
                    "dry_run": True,
                },
            ]
        },
    )

    filter: WrittenFilter = Field(
        description="Which tasks, as text or JSON, as `POST /tasks/search` takes it; of those that you see.",
    )
    patch: PatchOfMany
    expected_count: Annotated[StrictInt, Field(ge=0, le=MAX_OPERATIONS)] = Field(
        description="How many tasks you expect; `meta.total` of a list with the same filter tells it."
    )
    mode: Mode = Field(default="atomic", description="As in `POST /tasks/bulk`.")
    dry_run: StrictBool = Field(default=False, description="As in `POST /tasks/bulk`.")
    tz: ZoneName = None
