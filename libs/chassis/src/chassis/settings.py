"""Settings: frozen, typed, one small class per concern, read once from the environment at start.

Every variable may also be given as `<NAME>_FILE`, the path of a file that holds the value. Loading reports
all missing and bad variables at once, and refuses unknown variables with the service's own prefix.
"""

import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from chassis.sealing import KeyRing

MINIMUM_SECRET_LENGTH = 32


class SettingsError(Exception):
    """The environment can't be used; `str()` lists every problem, one a line."""


class EnvironmentSource(PydanticBaseSettingsSource):
    """Reads each field's own variable, or the file that `<NAME>_FILE` names; an empty one counts as not set.

    pydantic-settings' own source would also take a variable with the bare name of the field, such as `URL`.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = variable_name(self.settings_cls, field_name, field)
        with suppress(OSError, UnicodeError):
            return os.environ.get(name) or _content_of_file(name), name, False
        return None, name, False

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for field_name, field in self.settings_cls.model_fields.items():
            value, _, _ = self.get_field_value(field, field_name)
            if value is not None:
                values[str(field.validation_alias or field_name)] = value
        return values


def _content_of_file(name: str) -> str | None:
    path = os.environ.get(f"{name}_FILE")
    return (Path(path).read_text(encoding="utf-8").strip() or None) if path else None


class SettingsGroup(BaseSettings):
    """Base of every group of settings."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, validate_by_name=True, validate_by_alias=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, EnvironmentSource(settings_cls)


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < MINIMUM_SECRET_LENGTH:
        raise ValueError(f"a secret has at least {MINIMUM_SECRET_LENGTH} characters")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_long_enough)]


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _http(value: str) -> str:
    if not is_url(value, ("http", "https")) or "?" in value or "#" in value:
        raise ValueError("expected a URL that begins with http:// or https://, with a host and without a query")
    return value.rstrip("/")


def _beginning_with(*beginnings: str) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(beginnings):
            raise ValueError(f"expected a URL that begins with {' or '.join(beginnings)}")
        return url

    return AfterValidator(check)


def _key_ring(keys: SecretStr) -> SecretStr:
    KeyRing.parse(keys.get_secret_value())
    return keys


PostgresUrl = Annotated[SecretStr, _beginning_with("postgresql://", "postgres://")]
BrokerUrl = Annotated[SecretStr, _beginning_with("amqp://", "amqps://", "redis://", "rediss://")]
SealingKeys = Annotated[SecretStr, AfterValidator(_key_ring)]
"""As chassis.sealing.KeyRing takes them."""
CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
HttpUrl = Annotated[str, AfterValidator(_http)]
"""Where something is reached, without a query and a final slash."""


class ProcessSettings(SettingsGroup):
    """What every process has: where it listens and how it logs."""

    environment: Literal["development", "production", "test"] = Field(
        default="development",
        validation_alias="ENVIRONMENT",
        description="Which kind of installation this is.",
    )
    host: str = Field(default="127.0.0.1", validation_alias="HOST", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, validation_alias="PORT", description="Port of the API.")
    admin_port: int = Field(
        default=9000,
        ge=0,
        le=65535,
        validation_alias="ADMIN_PORT",
        description="Port of /metrics, /livez and /readyz; never to be published.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", validation_alias="LOG_LEVEL", description="Least severe level that is logged."
    )
    log_format: Literal["json", "console"] = Field(
        default="json",
        validation_alias="LOG_FORMAT",
        description="One JSON object a line, or lines for people.",
    )
    shutdown_seconds: int = Field(
        default=15,
        ge=1,
        le=300,
        validation_alias="SHUTDOWN_SECONDS",
        description="How long requests in flight may take to finish after SIGTERM, in seconds.",
    )
    drain_seconds: float = Field(
        default=3.0,
        ge=0,
        le=60,
        validation_alias="DRAIN_SECONDS",
        description="In production: how long to serve on, unready, after SIGTERM, in seconds.",
    )


class DatabaseSettings(SettingsGroup):
    """PostgreSQL."""

    url: PostgresUrl = Field(
        validation_alias="DATABASE_URL",
        description="PostgreSQL of this service.",
        examples=["postgresql://tasks:secret@127.0.0.1:5432/taskloom"],
    )
    replica_url: PostgresUrl | None = Field(
        default=None,
        validation_alias="DATABASE_REPLICA_URL",
        description=(
            "A streaming replica of DATABASE_URL for reads that may be a little old (docs/replicas.md); they go to "
            "DATABASE_URL without it, and while it is away or too far behind."
        ),
        examples=["postgresql://tasks:secret@127.0.0.1:5433/taskloom"],
    )
    replica_max_lag_seconds: float = Field(
        default=5.0,
        ge=0.1,
        le=3600,
        validation_alias="DATABASE_REPLICA_MAX_LAG_SECONDS",
        description="How far the replica may be behind, in seconds, before reads go to DATABASE_URL instead.",
    )
    pool_size: int = Field(
        default=10,
        ge=1,
        le=200,
        validation_alias="DATABASE_POOL_SIZE",
        description="Connections per engine; one more tells of what was written.",
    )
    pool_wait_seconds: float = Field(
        default=1.0,
        gt=0,
        validation_alias="DATABASE_POOL_WAIT_SECONDS",
        description="How long a read waits for a connection before it is answered 503, in seconds.",
    )
    write_wait_seconds: float = Field(
        default=3.0,
        gt=0,
        validation_alias="DATABASE_WRITE_WAIT_SECONDS",
        description=(
            "How long a write waits for a connection before it is answered 503, in seconds: longer than reads, since "
            "writes of one row stand in line."
        ),
    )
    statement_seconds: float = Field(
        default=5.0,
        ge=0.1,
        le=60,
        validation_alias="DATABASE_STATEMENT_SECONDS",
        description="How long PostgreSQL works on a statement before it ends it, in seconds.",
    )
    lock_seconds: float = Field(
        default=2.0,
        ge=0.1,
        le=60,
        validation_alias="DATABASE_LOCK_SECONDS",
        description=(
            "How long a statement waits for what others have locked before its request is answered 503, in seconds: "
            "less than DATABASE_STATEMENT_SECONDS."
        ),
    )
    command_seconds: float = Field(
        default=6.0,
        gt=0,
        validation_alias="DATABASE_COMMAND_SECONDS",
        description=(
            "How long we wait for PostgreSQL, in seconds, before we give the connection up: a little longer than "
            "DATABASE_STATEMENT_SECONDS, since a server that is there ends the statement itself."
        ),
    )
    idle_seconds: float = Field(
        default=10.0,
        ge=1,
        le=600,
        validation_alias="DATABASE_IDLE_SECONDS",
        description="How long a transaction may ask PostgreSQL nothing before PostgreSQL ends it, in seconds.",
    )


class BrokerSettings(SettingsGroup):
    """The event transport."""

    url: BrokerUrl = Field(
        validation_alias="BROKER_URL",
        description="RabbitMQ (amqp://, amqps://) or Valkey/Redis Streams (redis://, rediss://).",
        examples=["amqp://taskloom:secret@127.0.0.1:5672/"],
    )


class RedisSettings(SettingsGroup):
    """Valkey or Redis, for limits, tickets and wake-ups; nothing in it is the only copy."""

    url: SecretStr = Field(
        validation_alias="REDIS_URL",
        description="Valkey or Redis.",
        examples=["redis://127.0.0.1:6379/0"],
    )

    @field_validator("url")
    @classmethod
    def _redis(cls, value: SecretStr) -> SecretStr:
        if not is_url(value.get_secret_value(), ("redis", "rediss")):
            raise ValueError("expected a URL that begins with redis:// or rediss://, with a host")
        return value


class IdentityVerificationSettings(SettingsGroup):
    """How a service recognises callers that the gateway vouches for."""

    verify_key: SecretStr = Field(
        validation_alias="IDENTITY_VERIFY_KEY",
        description="Ed25519 public key (PEM) of the gateway's identity header.",
        examples=["-----BEGIN PUBLIC KEY-----\\n...\\n-----END PUBLIC KEY-----"],
    )


class CursorSettings(SettingsGroup):
    """The secret behind cursors; the same for every service that makes or reads them."""

    secret: Secret = Field(
        validation_alias="CURSOR_SECRET",
        description="Signs cursors; at least 32 characters.",
        examples=["a long random string, such as from `openssl rand -hex 32`"],
    )


class MailSealingSettings(SettingsGroup):
    """What seals the tokens of mails on their way; the same for who asks for a mail and who sends it."""

    keys: SealingKeys = Field(
        validation_alias="MAIL_SEALING_KEYS",
        description="Seals tokens of mails: `kid:base64(32 bytes)`, newest first, several separated by commas.",
        examples=["k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="],
    )

    def ring(self) -> KeyRing:
        """Return the keys."""
        return KeyRing.parse(self.keys.get_secret_value())


def is_url(value: str, schemes: tuple[str, ...]) -> bool:
    """Tell whether a value is a URL with a host, of one of the schemes; says no more, since there may be a password."""
    if any(character.isspace() or not character.isprintable() for character in value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def variable_name(group: type[BaseSettings], field_name: str, field: FieldInfo) -> str:
    """Return the environment variable of a field."""
    if field.validation_alias is not None:
        return str(field.validation_alias)
    return f"{group.model_config.get('env_prefix') or ''}{field_name}".upper()


def variables(group: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Return the environment variables of a group with their fields, in order of declaration."""
    return {variable_name(group, name, field): field for name, field in group.model_fields.items()}


S = TypeVar("S")


def groups_of(settings_type: type[Any]) -> dict[str, type[BaseSettings]]:
    """Return the groups of a settings dataclass by attribute."""
    return {field.name: cast("type[BaseSettings]", field.type) for field in dataclasses.fields(settings_type)}


def load_settings(settings_type: type[S], *, prefix: str = "") -> S:
    """Read a frozen dataclass of settings groups from the environment.

    `prefix` (such as `TASKS_`) is the service's own; a variable that begins with it and belongs to no
    group is refused, since it is nearly always a misspelt one. Raises SettingsError listing everything
    that is wrong.
    """
    groups = groups_of(settings_type)
    problems = list(_unknown_variables(groups.values(), prefix, os.environ)) if prefix else []
    loaded: dict[str, BaseSettings] = {}
    for attribute, group in groups.items():
        unreadable = _unreadable_files(group)
        problems.extend(unreadable.values())
        try:
            loaded[attribute] = group()
        except ValidationError as error:
            problems.extend(line for name, line in _explain(group, error) if name not in unreadable)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings_type(**loaded)


def _unknown_variables(groups: Iterable[type[BaseSettings]], prefix: str, environ: Mapping[str, str]) -> Iterable[str]:
    known = {name for group in groups for name in variables(group)}
    own = sorted(name for name in known if name.startswith(prefix))
    known |= {f"{name}_FILE" for name in known}
    for name in sorted(environ):
        if name.startswith(prefix) and name not in known:
            rests = [one.removeprefix(prefix) for one in own]
            guess = difflib.get_close_matches(name.removeprefix(prefix), rests, n=1)
            meant = f"did you mean {prefix}{guess[0]}? " if guess else ""
            yield f"{name}: there is no such setting; {meant}known are {', '.join(own) or 'none'}"


def _unreadable_files(group: type[BaseSettings]) -> dict[str, str]:
    """Return what is wrong with the files that the group's variables name, by variable."""
    problems: dict[str, str] = {}
    for name in (name for name in variables(group) if not os.environ.get(name)):
        try:
            _content_of_file(name)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
            problems[name] = f"{name}_FILE: {os.environ[f'{name}_FILE']} can't be read ({reason})"
    return problems


def _explain(group: type[BaseSettings], error: ValidationError) -> Iterable[tuple[str, str]]:
    """Yield each bad variable with a line about it; what the variable holds is never in the line."""
    by_location = {str(field.validation_alias or name): name for name, field in group.model_fields.items()}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        location = str(problem["loc"][0]) if problem["loc"] else ""
        field_name = by_location.get(location, location)
        field = group.model_fields.get(field_name)
        if field is None:
            yield location, problem["msg"]
            continue
        example = f" (for example {field.examples[0]})" if field.examples else ""
        reason = "is missing" if problem["type"] == "missing" else problem["msg"]
        name = variable_name(group, field_name, field)
        yield name, f"{name}: {reason}{example}. {field.description or ''}".rstrip()
