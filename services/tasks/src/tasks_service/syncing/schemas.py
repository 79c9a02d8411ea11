from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from chassis.cursors import MAX_CURSOR_CHARACTERS
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from tasks_service.bulk.rules import MAX_AT_ONCE
from tasks_service.bulk.schemas import DONE_EXAMPLE, BulkItem
from tasks_service.bulk_operations.schemas import MEANT_OPS, OPERATION_EXAMPLES, OPS, AnyOperation
from tasks_service.feed.rules import MAX_CHANGES, MAX_TYPES
from tasks_service.feed.schemas import CHANGES_EXAMPLE, ChangesOut, Type

NOTHING_TO_DO: list[AnyOperation] = []


class Sync(BaseModel):
    """What is to be done, and from where on the changes are asked for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"cursor": CHANGES_EXAMPLE["next_cursor"], "operations": OPERATION_EXAMPLES}]},
    )
    union_tags: ClassVar[Sequence[str]] = OPS
    meant_tags: ClassVar[Mapping[str, str]] = MEANT_OPS
    indexed: ClassVar[str] = "operations"

    cursor: str | None = Field(
        default=None,
        max_length=MAX_CURSOR_CHARACTERS,
        description="Any position. Without one, changes begin right before the operations.",
    )
    operations: list[AnyOperation] = Field(
        default=NOTHING_TO_DO,
        max_length=MAX_AT_ONCE,
        description="As those of `POST /tasks/bulk` with `mode: partial`, in their order.",
    )
    types: list[Type] | None = Field(
        default=None, max_length=MAX_TYPES, description="Only changes of these types, such as `task.*`."
    )
    workspace_id: UUID | None = Field(default=None, description="Only changes of this workspace.")
    project_id: UUID | None = Field(default=None, description="Only changes of this project, and of what has left it.")
    limit: StrictInt = Field(default=100, ge=1, le=MAX_CHANGES, description="How many changes at most.")


class SyncOut(ChangesOut):
    """What became of the operations, and what has changed."""

    results: list[BulkItem] = Field(description="What became of each operation, in their order.")
    temp_ids: dict[str, UUID] = Field(description="Which ids the tasks got that operations call by a `temp_id`.")


SYNC_EXAMPLE: dict[str, Any] = {
    **CHANGES_EXAMPLE,
    "results": DONE_EXAMPLE,
    "temp_ids": {DONE_EXAMPLE[0]["temp_id"]: DONE_EXAMPLE[0]["id"]},
}
