from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from chassis.errors import AppError
from chassis.patching import without_default
from chassis.web.envelope import ErrorEntry, entry_of
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from tasks_service.bulk_operations.rules import Mode
from tasks_service.bulk_operations.schemas import (
    MAX_OPERATIONS,
    MEANT_OPS,
    OPERATION_EXAMPLES,
    OPS,
    OTHER_ID,
    TASK_ID,
    AnyOperation,
)
from tasks_service.bulk_steps.schemas import Outcome

NOT_ASKED_FOR: list["FieldChangeOut"] = []
NO_WARNINGS: list[dict[str, Any]] = []


class BulkChange(BaseModel):
    """Changes of many tasks, in their order."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"mode": "atomic", "operations": OPERATION_EXAMPLES}]}
    )
    union_tags: ClassVar[Sequence[str]] = OPS
    meant_tags: ClassVar[Mapping[str, str]] = MEANT_OPS
    indexed: ClassVar[str] = "operations"

    mode: Mode = Field(
        default="atomic",
        description="`atomic`: all or, at the first error, nothing. `partial`: each for itself.",
    )
    dry_run: StrictBool = Field(
        default=False, description="Do everything, answer with what would change, and undo it: nothing is kept."
    )
    operations: list[AnyOperation] = Field(
        min_length=1, max_length=MAX_OPERATIONS, description="What is to be done; more than 200 are left to a job."
    )


class FieldChangeOut(BaseModel):
    """What an operation changes of a field of its task."""

    field: str
    old: Any
    new: Any


class BulkError(BaseModel):
    """Why an operation was not done, as its single request says it."""

    code: str = Field(description="Stable UPPER_SNAKE code.", examples=["VERSION_CONFLICT"])
    message: str
    field: str | None = Field(description="Dotted path of the field in the body, or null.")
    errors: list[ErrorEntry] = Field(description="All that is wrong.")
    data: Any = Field(default=None, description="What the answer to the single request has as `data`.")

    @classmethod
    def of(cls, error: AppError) -> "BulkError":
        """Make the error of a refusal."""
        first, *_ = entries = [entry_of(one) for one in error.details]
        shown = [ErrorEntry.model_construct(**one) for one in entries]
        return cls(code=first["code"], message=first["message"], field=first["field"], errors=shown, data=error.data)


class BulkItem(BaseModel):
    """What became of an operation."""

    index: int = Field(description="Its place in `operations`, from 0.")
    op: str
    id: UUID | None = Field(description="The task; null for one that was not made, or is named by a key of no task.")
    temp_id: str | None
    status: int = Field(description="That of the answer to the single request; 424 where a dependency failed.")
    version: int | None = Field(description="The version of the task then; null where it failed.")
    error: BulkError | None
    warnings: list[dict[str, Any]] = Field(
        default=NO_WARNINGS,
        description="As `meta.warnings` of the single request; only where there are some.",
        json_schema_extra=without_default,
        exclude_if=lambda value: not value,
    )
    changes: list[FieldChangeOut] = Field(
        default=NOT_ASKED_FOR,
        description="Only with `dry_run`: what would change of the task, as its event would tell it.",
        json_schema_extra=without_default,
        exclude_if=lambda value: value is NOT_ASKED_FOR,
    )

    @classmethod
    def of(cls, outcome: Outcome, *, shows_changes: bool) -> "BulkItem":
        """Make the item of an outcome."""
        changes = [FieldChangeOut.model_construct(**one.as_json()) for one in outcome.changes]
        return cls.model_construct(
            index=outcome.index,
            op=outcome.op,
            id=outcome.task_id,
            temp_id=outcome.temp_id,
            status=outcome.status,
            version=outcome.version,
            error=None if outcome.error is None else BulkError.of(outcome.error),
            warnings=[dict(one) for one in outcome.warnings],
            changes=changes if shows_changes else NOT_ASKED_FOR,
        )


def _item(index: int, op: str, task_id: str | None, status: int, version: int | None, **more: Any) -> dict[str, Any]:
    return {
        "index": index,
        "op": op,
        "id": task_id,
        "temp_id": None,
        "status": status,
        "version": version,
        "error": None,
        **more,
    }


CONFLICT_EXAMPLE = {
    "code": "VERSION_CONFLICT",
    "message": "This field was changed since.",
    "field": "priority",
    "errors": [{"field": "priority", "code": "VERSION_CONFLICT", "message": "This field was changed since."}],
    "data": {"current": {"version": 8}},
}
DONE_EXAMPLE = [
    _item(0, "create", TASK_ID, 201, 1, temp_id="trip"),
    _item(1, "create", OTHER_ID, 201, 1),
]
MIXED_EXAMPLE = [_item(0, "complete", TASK_ID, 200, 4), _item(1, "update", OTHER_ID, 412, None, error=CONFLICT_EXAMPLE)]
