"""Every column that is sealed with this service's keys."""

from chassis.db.sealed import SealedColumn

from notifications_service.chat.repository import URL
from notifications_service.devices.repository import ADDRESS
from notifications_service.webhooks.repository import SECRETS

SEALED: tuple[SealedColumn, ...] = (URL, ADDRESS, *SECRETS)
