from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from tasks_service.imports.rules import Whole

Format = Literal["ndjson", "csv"]
TYPES: dict[str, frozenset[str]] = {
    "ndjson": frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"}),
    "csv": frozenset({"text/csv"}),
}


class ImportFile(BaseModel):
    """What an import works on, as its job keeps it."""

    format: Format
    size: int
    lines: int
    sha256: str
    is_dry: bool = False
    project_id: UUID | None = None


class Progressed(BaseModel):
    """How far an import is: what the next step goes on from."""

    position: int = 0
    line: int = 0
    header: list[str] | None = None
    # In a line that is too long to be looked at.
    skips: bool = False
    # Projects that are archived at the end, with since when they are.
    archived: dict[UUID, str] = Field(default_factory=dict)
    made: dict[str, int] = Field(default_factory=dict)
    whole: Whole = Field(default_factory=Whole)


IMPORT_JOB_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-9c20-7a31-8d2e-4b6f8a1c3e58",
    "kind": "import",
    "workspace_id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02",
    "status": "queued",
    "total": 2412,
    "done": 0,
    "failed": 0,
    "result_url": "/api/v1/jobs/0199d3b2-9c20-7a31-8d2e-4b6f8a1c3e58/results",
    "error": None,
    "cancelable": True,
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-26T09:00:00Z",
    "started_at": None,
    "finished_at": None,
}
