from uuid import UUID

from pydantic import BaseModel, Field


class AttachmentResource(BaseModel):
    """What this service reads of an attachment in events."""

    id: UUID
    task_id: UUID
    name: str = Field(max_length=500)
