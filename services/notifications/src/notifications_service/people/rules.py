"""Who somebody is to those who tell them something."""

from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.timezones import zone_named

ACTIVE, DELETED = "active", "deleted"
HUMAN, SERVICE = "human", "service"
DELETED_NAME = "Deleted user"
UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of somebody. `address` is a verified one, or there is none."""

    user_id: UUID
    name: str | None
    address: str | None
    zone: ZoneInfo
    locale: str | None
    is_active: bool
    is_human: bool

    @property
    def can_be_told(self) -> bool:
        """Whether anything is told to this account at all: programs and closed accounts read nothing."""
        return self.is_active and self.is_human


def zone_of(name: str | None) -> ZoneInfo:
    """Return the zone of a name, and UTC for none and for one that is not known here."""
    return (None if name is None else zone_named(name)) or UTC
