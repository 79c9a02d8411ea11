from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class AttachmentResource(BaseModel):
    """A file of a task, as the attachments service tells of it; whatever else that says is ignored."""

    id: UUID
    task_id: UUID
    workspace_id: UUID
    name: str = Field(max_length=500)
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="Of the bytes, in hexadecimal.")
    content_type: str
    created_by: UUID
    version: int
    created_at: datetime


class AttachmentChange(BaseModel):
    """The data of an event on a file; it has no actor where files are told of again, of which none has changed."""

    version: int
    actor: dict[str, Any] | None
    resource: AttachmentResource


ATTACHMENT_EXAMPLE: Mapping[str, Any] = {
    "id": "0199d3b2-9a00-7f0e-8f3a-1d1f6c0f5a55",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "name": "shopping list.pdf",
    "size": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "content_type": "application/pdf",
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:05:00Z",
}
