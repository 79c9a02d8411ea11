"""Everything the notifications service reads from the environment."""

from dataclasses import dataclass

from chassis.settings import (
    BrokerSettings,
    CursorSettings,
    DatabaseSettings,
    IdentityVerificationSettings,
    ProcessSettings,
    RedisSettings,
    SettingsGroup,
    load_settings,
)
from pydantic import Field
from pydantic_settings import SettingsConfigDict

PREFIX = "NOTIFICATIONS_"


class NotificationsSettings(SettingsGroup):
    """The service's own settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    tasks_url: str = Field(
        description="Tasks service, asked for memberships made a moment ago.", examples=["http://tasks:8000"]
    )
    replay_days: int = Field(default=30, ge=1, le=365, description="How long a cursor can be resumed from, in days.")
    blocked_seconds: float = Field(
        default=5.0, gt=0, description="How long a frame may wait for a client that does not read it, in seconds."
    )
    max_sockets: int = Field(default=8000, ge=1, description="Open WebSockets of one process.")
    max_sockets_per_user: int = Field(default=20, ge=1, description="Open WebSockets of one user in one process.")


@dataclass(frozen=True)
class Settings:
    """All groups of this service's background roles."""

    process: ProcessSettings
    database: DatabaseSettings
    broker: BrokerSettings
    redis: RedisSettings
    notifications: NotificationsSettings


@dataclass(frozen=True)
class ApiSettings:
    """All groups of this service's API."""

    process: ProcessSettings
    database: DatabaseSettings
    redis: RedisSettings
    identity: IdentityVerificationSettings
    cursors: CursorSettings
    notifications: NotificationsSettings


def load() -> Settings:
    """Read the settings of the background roles. Raises SettingsError with everything that is wrong."""
    return load_settings(Settings, prefix=PREFIX)


def load_api() -> ApiSettings:
    """Read the settings of the API. Raises SettingsError with everything that is wrong."""
    return load_settings(ApiSettings, prefix=PREFIX)
