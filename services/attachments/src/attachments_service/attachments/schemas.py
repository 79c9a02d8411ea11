from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class AttachmentOut(BaseModel):
    """A file of a task; its bytes are at `/content`."""

    id: UUID
    task_id: UUID
    workspace_id: UUID
    name: str
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="Of the bytes, in hexadecimal.")
    content_type: str
    created_by: UUID
    version: int
    created_at: datetime


class PurgedTask(BaseModel):
    """What the data of task.purged events say: who took it away, and who saw it."""

    entity_id: UUID
    actor: dict[str, Any]
    audience: list[UUID]


ATTACHMENT_EXAMPLE: dict[str, Any] = {
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
