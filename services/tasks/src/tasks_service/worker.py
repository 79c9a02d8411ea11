"""The process that takes in events."""

from chassis.broker.consumer import Consumer

from tasks_service.directory.consumers import on_person
from tasks_service.search.consumers import on_attachment
from tasks_service.service_accounts.consumers import on_service_account
from tasks_service.workspaces.consumers import on_user_registered

CONSUMERS: tuple[Consumer, ...] = (on_user_registered, on_service_account, on_person, on_attachment)
