"""What is told of webhooks, each to its owner alone."""

from chassis.outbox.contracts import EventContract

from notifications_service.webhooks.schemas import RESOURCE_EXAMPLE, WebhookResource

DISABLED = "webhook.disabled.v1"
SOURCE = "/taskloom/notifications"

WEBHOOK_EVENTS = (
    EventContract(
        type=DISABLED,
        source=SOURCE,
        entity_type="webhook",
        description="A webhook was disabled because of what its receiver answers, or does not; its owner is told.",
        resource=WebhookResource,
        example=RESOURCE_EXAMPLE,
        stream="owner_id",
        optional=True,
        channels=("websocket", "sse", "webhook", "notification"),
        changed=({"field": "enabled", "old": True, "new": False},),
    ),
)
