"""Everything the auth service reads from the environment."""

from dataclasses import dataclass
from typing import Literal

from chassis.settings import (
    BrokerSettings,
    CursorSettings,
    DatabaseSettings,
    IdentityVerificationSettings,
    MailSealingSettings,
    ProcessSettings,
    SealingKeys,
    SettingsError,
    SettingsGroup,
    load_settings,
)
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from auth_service.passkey_settings import PasskeySettings
from auth_service.provider_settings import OidcSettings

PREFIX = "AUTH_"
YEAR = 365 * 86_400


class TokenSettings(SettingsGroup):
    """What access tokens say of themselves; the gateway has the same two."""

    issuer: str = Field(default="taskloom", validation_alias="TOKEN_ISSUER", description="`iss` of access tokens.")
    audience: str = Field(
        default="taskloom-api", validation_alias="TOKEN_AUDIENCE", description="`aud` of access tokens."
    )


class AuthSettings(SettingsGroup):
    """The service's own settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    encryption_keys: SealingKeys = Field(
        description="Seals secrets at rest: `kid:base64(32 bytes)`, newest first, several separated by commas.",
        examples=["k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="],
    )
    tasks_url: str = Field(
        description="Tasks service, asked who may manage a workspace's service accounts.",
        examples=["http://tasks:8000"],
    )
    access_token_ttl: int = Field(default=86_400, ge=60, le=86_400, description="Life of an access token, in seconds.")
    refresh_idle_ttl: int = Field(
        default=14 * 86_400,
        ge=60,
        le=YEAR,
        description="A session ends when it is not refreshed for this long, in seconds.",
    )
    refresh_absolute_ttl: int = Field(
        default=30 * 86_400,
        ge=60,
        le=YEAR,
        description="A session ends this long after the login at the latest, in seconds.",
    )
    key_rotation_days: int = Field(
        default=30,
        ge=0,
        le=3650,
        description="Access tokens are signed with the next key after so many days; 0 never changes it by itself.",
    )
    step_up_seconds: int = Field(
        default=600,
        ge=1,
        le=86_400,
        description="How long after a login or a step-up sensitive actions need no further proof, in seconds.",
    )
    email_verification: Literal["optional", "required"] = Field(
        default="optional",
        description="Whether an account can be used before its address is confirmed; `required` hides who has one.",
    )
    api_token_max_days: int = Field(
        default=365,
        ge=1,
        le=365,
        description="Longest life of an API token, in days; unless asked for, it is 90, or this where it is less.",
    )
    deletion_grace_days: int = Field(
        default=30,
        ge=0,
        le=365,
        description="For how many days a deleted account can be taken back; then nothing personal is left of it.",
    )
    audit_days: int = Field(
        default=400, ge=30, le=3650, description="For how many days the audit keeps what has happened."
    )
    password_min_length: int = Field(default=8, ge=8, le=128, description="Shortest password, in code points.")


@dataclass(frozen=True)
class Settings:
    """All groups of this service."""

    process: ProcessSettings
    database: DatabaseSettings
    broker: BrokerSettings
    identity: IdentityVerificationSettings
    tokens: TokenSettings
    mail_sealing: MailSealingSettings
    cursors: CursorSettings
    auth: AuthSettings
    oidc: OidcSettings
    passkeys: PasskeySettings


def load() -> Settings:
    """Read the settings. Raises SettingsError with everything that is wrong."""
    settings = load_settings(Settings, prefix=PREFIX)
    if problem := settings.oidc.fit_for(settings.process.environment):
        raise SettingsError(problem)
    if problem := settings.passkeys.fault():
        raise SettingsError(problem)
    return settings
