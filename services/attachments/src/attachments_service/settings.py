"""Everything the attachments service reads from the environment."""

from dataclasses import dataclass

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    IdentityVerificationSettings,
    ProcessSettings,
    SettingsGroup,
    load_settings,
)
from pydantic import Field
from pydantic_settings import SettingsConfigDict

PREFIX = "ATTACHMENTS_"
MIB = 1024 * 1024
MAX_FILE_BYTES = 1024 * MIB


class StorageSettings(SettingsGroup):
    """Where the bytes are."""

    url: str = Field(
        validation_alias="STORAGE_URL",
        description="Object storage: file:///path, s3://bucket, gs://bucket or az://container.",
        examples=["file:///var/lib/taskloom/files"],
    )


class AttachmentsSettings(SettingsGroup):
    """The service's own settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    tasks_url: str = Field(
        description="Tasks service, asked for tasks made a moment ago.", examples=["http://tasks:8000"]
    )
    max_bytes: int = Field(default=25 * MIB, ge=1, le=MAX_FILE_BYTES, description="Largest file, in bytes.")
    max_per_task: int = Field(default=100, ge=1, description="Files of one task.")


@dataclass(frozen=True)
class Settings:
    """All groups of this service."""

    process: ProcessSettings
    database: DatabaseSettings
    broker: BrokerSettings
    identity: IdentityVerificationSettings
    storage: StorageSettings
    attachments: AttachmentsSettings


def load() -> Settings:
    """Read the settings. Raises SettingsError with everything that is wrong."""
    return load_settings(Settings, prefix=PREFIX)
