"""The process that takes in events."""

from chassis.broker.consumer import Consumer

from tasks_service.workspaces.consumers import on_user_registered

CONSUMERS: tuple[Consumer, ...] = (on_user_registered,)
