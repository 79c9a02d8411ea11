"""The process that takes in events."""

from chassis.broker.consumer import Consumer

from auth_service.service_accounts.consumers import on_workspace_deleted

CONSUMERS: tuple[Consumer, ...] = (on_workspace_deleted,)
