from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from tasks_service.history.rules import seen_from_end, silenced


class ActorOut(BaseModel):
    """Who did it, and through what."""

    type: Literal["user", "service_account", "system"]
    id: UUID | None = Field(description="Null for the system itself.")
    name: str | None = Field(description="`Deleted user` of somebody who is gone.")
    via: str = Field(description="`session`, `token` (an API token of a person), `bot`, or `system`.")
    token_id: UUID | None = Field(description="Which API token it was, if one was used.")


class ChangedField(BaseModel):
    field: str
    old: Any
    new: Any


class HistoryEntry(BaseModel):
    """One change of a task, or of something that hangs on it."""

    seq: int = Field(description="Its place among all changes of the workspace.")
    event_id: UUID
    at: datetime
    type: str = Field(description="What happened, such as `task.updated`.")
    entity_type: str
    entity_id: UUID
    version: int = Field(description="Of what was changed, after the change.")
    actor: ActorOut
    user_id: UUID | None = Field(
        description="Whom it is about, where that is a person: of memberships, roles, shares, answers, watching."
    )
    changes: list[ChangedField] = Field(description="Field by field; the words of a deleted comment are null.")
    reason: str | None
    request_id: str

    @classmethod
    def of(cls, row: RowMapping, names: Mapping[str, str | None], *, task_id: UUID | None = None) -> Self:
        """Make the entry of a row of the log; `names` are those of the directory, by id.

        In the history of a task, what is between it and another one is told from its side.
        """
        fields = _fields(row, names)
        if task_id is not None and row["related_task_id"] is not None:
            fields["changes"] = seen_from_end(row["changes"], task_id)
        return cls.model_validate(fields)


class AuditEntry(HistoryEntry):
    """One change of anything in a workspace."""

    project_id: UUID | None
    task_id: UUID | None


SYSTEM = {"type": "system", "via": "system"}
"""Who does what nobody has asked for, such as emptying the trash."""


def _fields(row: RowMapping, names: Mapping[str, str | None]) -> dict[str, Any]:
    actor = {"id": None, "token_id": None, **(row["actor"] or SYSTEM)}
    return {
        **row,
        "at": row["occurred_at"],
        "type": row["type"].rpartition(".")[0],
        "actor": {**actor, "name": names.get(actor["id"])},
        "changes": silenced(row["changes"]) if row["is_silenced"] else row["changes"],
    }


HISTORY_EXAMPLE: dict[str, Any] = {
    "seq": 41,
    "event_id": "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1",
    "at": "2026-11-24T09:00:00Z",
    "type": "task.updated",
    "entity_type": "task",
    "entity_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "version": 2,
    "actor": {
        "type": "user",
        "id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
        "name": "Ada",
        "via": "session",
        "token_id": None,
    },
    "user_id": None,
    "changes": [{"field": "title", "old": "Buy milk", "new": "Buy oat milk"}],
    "reason": None,
    "request_id": "0199d3b2-7fe0-7a10-9c41-5e2b7d904c33",
}
AUDIT_EXAMPLE: dict[str, Any] = {
    **HISTORY_EXAMPLE,
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
}
