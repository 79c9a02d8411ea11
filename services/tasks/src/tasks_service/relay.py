"""The process that sends the change log to the broker, and what is no change of a workspace."""

from uuid import UUID

from chassis.broker.relay import Source, outbox_source
from chassis.db.base import table_of
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy import RowMapping

from tasks_service.changes.models import Change
from tasks_service.db import Outbox

SOURCE_NAME = "/taskloom/tasks"

change = table_of(Change)


def envelope_of(row: RowMapping) -> EventEnvelope:
    """Make the event of a row of the log; its stream is the workspace, its place there the sequence number."""
    lost_by = {} if row["lost_by"] is None else {"lost_by": [str(user_id) for user_id in row["lost_by"]]}
    quiet = {"quiet": True} if row["quiet"] else {}
    return EventEnvelope(
        event_id=row["event_id"],
        type=row["type"],
        source=SOURCE_NAME,
        subject=row["entity_id"],
        occurred_at=row["occurred_at"],
        stream_id=row["workspace_id"],
        sequence=row["seq"],
        traceparent=row["traceparent"],
        data={
            "entity_type": row["entity_type"],
            "entity_id": str(row["entity_id"]),
            "version": row["version"],
            "actor": row["actor"],
            "changes": row["changes"],
            "audience": [str(user_id) for user_id in row["audience"]],
            "request_id": row["request_id"],
            "workspace_id": str(row["workspace_id"]),
            "project_id": _text(row["project_id"]),
            "task_id": _text(row["task_id"]),
            "resource": row["resource"],
            **lost_by,
            **quiet,
        },
    )


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


CHANGE_LOG = Source(change, change.c.workspace_id, change.c.seq, envelope_of)
OUTBOX = outbox_source(table_of(Outbox), service="tasks")
