"""The process that sends the change log to the broker."""

from chassis.broker.relay import Source
from chassis.db.base import table_of
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy import RowMapping

from tasks_service.changes.models import Change

SOURCE_NAME = "/taskloom/tasks"

change = table_of(Change)


def envelope_of(row: RowMapping) -> EventEnvelope:
    """Make the event of a row of the log; its stream is the workspace, its place there the sequence number."""
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
            "project_id": None if row["project_id"] is None else str(row["project_id"]),
            "resource": row["resource"],
        },
    )


CHANGE_LOG = Source(change, change.c.workspace_id, change.c.seq, envelope_of)
