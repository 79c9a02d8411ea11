"""What a user's open connections are told of their inbox."""

from collections.abc import Mapping
from typing import Any

from chassis.outbox.contracts import EventContract
from sqlalchemy import RowMapping

from notifications_service.inbox.schemas import ALL_MARKED_EXAMPLE, RESOURCE_EXAMPLE, AllMarked, NotificationResource
from notifications_service.live.schemas import PersonalEvent

NOTIFICATION_CREATED = "notification.created.v1"
NOTIFICATION_UPDATED = "notification.updated.v1"
NOTIFICATION_ALL_READ = "notification.all_read.v1"
NOTIFICATION_ALL_ARCHIVED = "notification.all_archived.v1"
ENTITY = "notification"


def notification_told(event_type: str, row: Mapping[str, Any] | RowMapping) -> PersonalEvent:
    """Draft what is told of one notification; `row` has the names that go with it."""
    return PersonalEvent(
        type=event_type,
        entity_type=ENTITY,
        subject=row["id"],
        resource=NotificationResource.of_row(row).model_dump(mode="json"),
        actor=None if row["actor"] is None else dict(row["actor"]),
        workspace_id=row["workspace_id"],
        project_id=row["project_id"],
        task_id=row["task_id"],
    )


def all_told(event_type: str, marked: AllMarked) -> PersonalEvent:
    """Draft what is told of many notifications that were marked at once."""
    return PersonalEvent(
        type=event_type,
        entity_type=ENTITY,
        subject=marked.id,
        resource=marked.model_dump(mode="json"),
        workspace_id=marked.workspace_id,
        task_id=None,
    )


SOURCE = "/taskloom/notifications"
_READ = {**RESOURCE_EXAMPLE, "read_at": "2026-11-24T09:20:00Z"}
_TOLD = (
    (NOTIFICATION_CREATED, "Somebody is told something new.", NotificationResource, RESOURCE_EXAMPLE),
    (NOTIFICATION_UPDATED, "A notification was read or archived, or is not any more.", NotificationResource, _READ),
    (NOTIFICATION_ALL_READ, "All notifications up to one were read.", AllMarked, ALL_MARKED_EXAMPLE),
    (NOTIFICATION_ALL_ARCHIVED, "All notifications up to one were archived.", AllMarked, ALL_MARKED_EXAMPLE),
)
NOTIFICATION_EVENTS = tuple(
    EventContract(
        type=type_,
        source=SOURCE,
        entity_type=ENTITY,
        description=meaning,
        resource=resource,
        example=dict(example),
        stream="user_id",
        optional=True,
        channels=("websocket", "sse"),
    )
    for type_, meaning, resource, example in _TOLD
)
