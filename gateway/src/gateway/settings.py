"""Everything the gateway reads from the environment."""

import ipaddress
from dataclasses import dataclass
from typing import Annotated

from chassis.settings import CommaSeparated, HttpUrl, ProcessSettings, RedisSettings, SettingsGroup, load_settings
from chassis.tokens import IdentitySigner
from cryptography.exceptions import UnsupportedAlgorithm
from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

PREFIX = "GATEWAY_"


def _signing_key(value: SecretStr) -> SecretStr:
    try:
        IdentitySigner(value.get_secret_value())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("expected an Ed25519 private key in PEM, without a password") from None
    return value


class EdgeSettings(SettingsGroup):
    """What the outside world may be and do."""

    public_base_url: HttpUrl = Field(
        default="http://127.0.0.1:8080",
        validation_alias="PUBLIC_BASE_URL",
        description="Where clients reach the API; used in documents, never taken from a request.",
    )
    allowed_hosts: CommaSeparated = Field(
        default=("localhost", "127.0.0.1", "[::1]"),
        validation_alias="ALLOWED_HOSTS",
        description="Values of the Host header that are served, without ports, separated by commas.",
    )
    cors_allow_origins: CommaSeparated = Field(
        default=(),
        validation_alias="CORS_ALLOW_ORIGINS",
        description="Origins whose pages may call the API, exactly as browsers send them, separated by commas.",
    )
    trusted_proxies: CommaSeparated = Field(
        default=(),
        validation_alias="TRUSTED_PROXIES",
        description="Networks of the proxies in front, whose X-Forwarded-For is believed, separated by commas.",
        examples=["10.0.0.0/8"],
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("cors_allow_origins", "allowed_hosts")
    @classmethod
    def _no_wildcard(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("*" in entry for entry in value):
            raise ValueError("wildcards are not accepted: list each one")
        return value


class AccessTokenSettings(SettingsGroup):
    """Which access tokens are accepted, and how callers are vouched for."""

    issuer: str = Field(default="taskloom", validation_alias="TOKEN_ISSUER", description="`iss` of access tokens.")
    audience: str = Field(
        default="taskloom-api", validation_alias="TOKEN_AUDIENCE", description="`aud` of access tokens."
    )
    max_lifetime: int = Field(
        default=86_400,
        validation_alias="AUTH_ACCESS_TOKEN_TTL",
        description="Longest accepted life of an access token, in seconds.",
    )
    signing_key: Annotated[SecretStr, AfterValidator(_signing_key)] = Field(
        validation_alias="IDENTITY_SIGNING_KEY",
        description="Ed25519 private key (PEM) that signs the identity header to the services.",
        examples=["-----BEGIN PRIVATE KEY-----\\n...\\n-----END PRIVATE KEY-----"],
    )


class GatewaySettings(SettingsGroup):
    """The gateway's own settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    auth_url: HttpUrl = Field(description="Auth service.", examples=["http://auth:8000"])
    tasks_url: HttpUrl = Field(description="Tasks service.", examples=["http://tasks:8000"])
    notifications_url: HttpUrl = Field(description="Notifications service.", examples=["http://notifications:8000"])
    attachments_url: HttpUrl = Field(description="Attachments service.", examples=["http://attachments:8000"])
    workers: int = Field(
        default=1, ge=1, description="How many gateway processes run; divides the limit while Redis is away."
    )
    redis_patience_ms: int = Field(
        default=50,
        ge=5,
        le=5000,
        description="How long a request waits for Redis, in milliseconds, before this process counts by itself.",
    )
    rate_limit_per_minute: int = Field(default=100, ge=1, description="Requests a minute of one user.")
    anonymous_limit_per_minute: int = Field(default=60, ge=1, description="Requests a minute of one address.")
    login_limit_per_minute: int = Field(
        default=10, ge=1, description="Logins, registrations and refreshes a minute of one address."
    )
    read_your_writes_seconds: float = Field(
        default=7.0,
        ge=0,
        le=4000,
        description=(
            "How long after a write of a user services with a replica answer that user's reads from the primary, in"
            " seconds: more than DATABASE_REPLICA_MAX_LAG_SECONDS and one. 0 is not at all."
        ),
    )
    revocations_max_age_seconds: float = Field(
        default=60.0,
        gt=0,
        description="How old what is known of revoked tokens may be before users are answered 503, in seconds.",
    )
    head_seconds: float = Field(
        default=10.0, gt=0, description="How long the head of a request may take to come, in seconds."
    )
    blocked_seconds: float = Field(
        default=30.0, gt=0, description="How long an answer may wait for a client that does not read it, in seconds."
    )
    max_connections: int = Field(default=8000, ge=1, description="Open connections of one process.")
    max_connections_per_address: int = Field(
        default=200, ge=1, description="Open connections of one address to one process; trusted proxies have no limit."
    )
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, description="Largest body of a request, in bytes.")
    max_upload_bytes: int = Field(default=26 * 1024 * 1024, ge=1024, description="Largest body of an upload, in bytes.")
    max_import_bytes: int = Field(
        default=100 * 1024 * 1024,
        ge=1024,
        description="Largest file of an import, in bytes; the tasks service has a limit, too.",
    )
    max_sockets: int = Field(default=8000, ge=1, description="Open WebSockets and event streams of one process.")
    max_sockets_per_user: int = Field(
        default=20, ge=1, description="Open WebSockets and event streams of one user in one process."
    )


@dataclass(frozen=True)
class Settings:
    """All groups of the gateway."""

    process: ProcessSettings
    redis: RedisSettings
    edge: EdgeSettings
    tokens: AccessTokenSettings
    gateway: GatewaySettings


def load() -> Settings:
    """Read the settings. Raises SettingsError with everything that is wrong."""
    return load_settings(Settings, prefix=PREFIX)
