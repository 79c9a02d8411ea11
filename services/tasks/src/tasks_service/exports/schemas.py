from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tasks_service.exports.rules import Format, Part
from tasks_service.fields.schemas import WrittenFilter
from tasks_service.jobs.rules import Status


class ExportCreate(BaseModel):
    """What is to be exported."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"workspace_id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02", "format": "ndjson"}],
        },
    )
    read_only_fields: ClassVar[frozenset[str]] = frozenset()

    workspace_id: UUID
    format: Format = Field(
        default="ndjson", description="`ndjson` is all of the workspace, a line each; `csv` is a table of its tasks."
    )
    include: Annotated[list[Part], Field(max_length=3)] = Field(
        default=["comments"],
        description=(
            "Of `ndjson`: `comments` with their reactions, `history`, which is the log of all changes (without "
            "`comments` it has not what these say), and `attachments`, which are their names and no bytes."
        ),
    )

    filter: WrittenFilter | None = Field(
        default=None,
        description=(
            "Only tasks that it finds, with what hangs on them; as text or JSON, as `POST /tasks/search` takes it. "
            "Projects, categories and labels are all in it; `history` goes with no filter."
        ),
    )
    filter_id: UUID | None = Field(
        default=None,
        description="A saved filter, joined by AND, as yours; one that searches for words (`q`) is not taken.",
    )


class Manifest(BaseModel):
    """What is in the file."""

    counts: dict[str, int] = Field(description="How many lines there are, by kind; rows of a table are tasks.")


class ExportOut(BaseModel):
    """A workspace as a file, for whoever asked for it."""

    id: UUID
    job_id: UUID = Field(description="The job that writes it.")
    workspace_id: UUID
    format: Format
    include: list[Part]
    filter: dict[str, Any] | None = Field(description="Which tasks are in it, as JSON; null for all.")
    status: Status
    size: int | None = Field(description="In bytes; null until it is finished, as all that follows.")
    sha256: str | None = Field(description="Of the whole file.")
    manifest: Manifest | None
    url: str | None = Field(description="Fetches the file without a token, for 5 minutes; each read gives another.")
    url_expires_at: datetime | None
    expires_at: datetime | None = Field(description="When the file is deleted.")
    created_at: datetime


class Written(BaseModel):
    """How far an export is: what the next step goes on from."""

    place: dict[str, Any] | None = None
    is_read: bool = False
    size: int = 0
    sha256: str | None = None
    counts: dict[str, int] = Field(default_factory=dict)


EXPORT_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-9c30-7a31-8d2e-4b6f8a1c3e59",
    "job_id": "0199d3b2-9c30-7a31-8d2e-4b6f8a1c3e59",
    "workspace_id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02",
    "format": "ndjson",
    "include": ["comments"],
    "filter": None,
    "status": "succeeded",
    "size": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "manifest": {"counts": {"project": 3, "label": 5, "task": 120, "comment": 41}},
    "url": (
        "/api/v1/exports/0199d3b2-9c30-7a31-8d2e-4b6f8a1c3e59/content?expires=1795683900"
        "&user=0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03&signature=2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    ),
    "url_expires_at": "2026-11-26T09:05:00Z",
    "expires_at": "2026-12-03T09:00:00Z",
    "created_at": "2026-11-26T08:59:00Z",
}
EXPORT_JOB_EXAMPLE: dict[str, Any] = {
    "id": EXPORT_EXAMPLE["id"],
    "kind": "export",
    "workspace_id": EXPORT_EXAMPLE["workspace_id"],
    "status": "queued",
    "total": None,
    "done": 0,
    "failed": 0,
    "result_url": f"/api/v1/exports/{EXPORT_EXAMPLE['id']}",
    "error": None,
    "cancelable": True,
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-26T08:59:00Z",
    "started_at": None,
    "finished_at": None,
}
