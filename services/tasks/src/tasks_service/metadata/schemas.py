from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from tasks_service.metadata.rules import MAX_BYTES, MAX_DEPTH, is_deeper


def _fits(value: dict[str, Any]) -> dict[str, Any]:
    if is_deeper(value, MAX_DEPTH):
        raise PydanticCustomError("TOO_LONG", "This is more than 20 levels deep.")
    if len(orjson.dumps(value)) > MAX_BYTES:
        raise PydanticCustomError("TOO_LONG", "This has at most 16 KiB as JSON.")
    return value


Value = Annotated[dict[str, Any], AfterValidator(_fits)]


class MetadataOut(BaseModel):
    """What an app keeps with a task."""

    workspace_id: UUID
    task_id: UUID
    namespace: str
    shared: bool = Field(description="Whether everybody who sees the task may read it, and not its app alone.")
    value: dict[str, Any]
    version: int
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "MetadataOut":
        """Make the resource of a row."""
        return cls.model_construct(**{name: row[name] for name in cls.model_fields})


class MetadataResource(BaseModel):
    """What an app keeps with a task, as events show it: what is not shared is told to its owner, without the value."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    task_id: UUID
    namespace: str
    shared: bool
    value: dict[str, Any] | None
    version: int
    updated_at: datetime


METADATA_EXAMPLE: dict[str, Any] = {
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "namespace": "crm",
    "shared": False,
    "value": {"customer": 4711, "stage": "offer"},
    "version": 1,
    "updated_at": "2026-11-24T09:00:00Z",
}
METADATA_RESOURCE_EXAMPLE: dict[str, Any] = {
    **METADATA_EXAMPLE,
    "id": "0199d3b2-7a81-5c3d-9a11-5b1e3c7f9a41",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "shared": True,
}
