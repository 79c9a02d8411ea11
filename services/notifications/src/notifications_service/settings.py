"""Everything the notifications service reads from the environment."""

from dataclasses import dataclass
from typing import Annotated

from chassis.egress.rules import EgressRules
from chassis.egress.settings import EgressSettings
from chassis.sealing import KeyRing
from chassis.settings import (
    BrokerSettings,
    CursorSettings,
    DatabaseSettings,
    HttpUrl,
    IdentityVerificationSettings,
    MailSealingSettings,
    ProcessSettings,
    RedisSettings,
    SealingKeys,
    SettingsError,
    SettingsGroup,
    is_url,
    load_settings,
)
from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from notifications_service.mailing.letterhead import Letterhead, parse_sender
from notifications_service.mailing.smtp import SmtpServer

PREFIX = "NOTIFICATIONS_"
LOCAL = "localhost"
DEFAULT_SENDER = f"Taskloom <no-reply@{LOCAL}>"
EXAMPLE_SENDER = "Taskloom <no-reply@example.com>"


def _page(value: str) -> str:
    """Accept what HttpUrl accepts, and pages that an app tells apart behind a #."""
    if not is_url(value, ("http", "https")) or "?" in value:
        raise ValueError("expected a URL that begins with http:// or https://, with a host and without a query")
    return value.rstrip("/")


PageUrl = Annotated[str, AfterValidator(_page)]


class MailSettings(SettingsGroup):
    """How mail leaves, and what it says of this installation."""

    smtp_url: SecretStr | None = Field(
        default=None,
        validation_alias="SMTP_URL",
        description="The mail server: TLS from the start with smtps://, else where the server offers it, which "
        "`?starttls=required` or a password insist on. Without it mails wait.",
        examples=["smtp://user:password@mail.example.com:587?starttls=required"],
    )
    mail_from: str | None = Field(
        default=None,
        validation_alias="MAIL_FROM",
        description=f"The sender of mails; {DEFAULT_SENDER} without it.",
        examples=[EXAMPLE_SENDER],
    )
    public_base_url: HttpUrl = Field(
        default="http://127.0.0.1:8080",
        validation_alias="PUBLIC_BASE_URL",
        description="Where clients reach the API; never taken from a request.",
    )
    account_links_url: PageUrl | None = Field(
        default=None,
        validation_alias="ACCOUNT_LINKS_URL",
        description="What links in mails begin with, an app's pages; PUBLIC_BASE_URL/api/v1/auth without it.",
        examples=["https://app.example.com/account"],
    )

    invitation_links_url: PageUrl | None = Field(
        default=None,
        validation_alias="INVITATION_LINKS_URL",
        description="What links in invitations begin with, an app's pages; the API tells of the invitation without.",
        examples=["https://app.example.com/invitations"],
    )

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            SmtpServer.parse(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str | None) -> str | None:
        if value is not None:
            parse_sender(value)
        return value

    @property
    def sends_in_its_own_name(self) -> bool:
        """Whether others take mails from this sender. `localhost` is one for a server next door, as a catcher is."""
        if self.server is None:
            return True
        is_local = self.letterhead.sender.domain == LOCAL
        return self.mail_from is not None and not (is_local and "." in self.server.host)

    @property
    def server(self) -> SmtpServer | None:
        """The mail server, None where there is none."""
        return None if self.smtp_url is None else SmtpServer.parse(self.smtp_url.get_secret_value())

    @property
    def letterhead(self) -> Letterhead:
        """What every mail has of this installation."""
        links_url = self.account_links_url or f"{self.public_base_url}/api/v1/auth"
        sender = parse_sender(self.mail_from or DEFAULT_SENDER)
        return Letterhead(sender, self.public_base_url, links_url, self.invitation_links_url)


class SealingSettings(SettingsGroup):
    """What seals at rest what users keep here: keys of webhooks, and URLs of chats."""

    keys: SealingKeys = Field(
        validation_alias="NOTIFICATIONS_SEALING_KEYS",
        description="Seals keys of webhooks and URLs: `kid:base64(32 bytes)`, newest first, separated by commas.",
        examples=["k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="],
    )

    def ring(self) -> KeyRing:
        """Return the keys."""
        return KeyRing.parse(self.keys.get_secret_value())


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
    mail: MailSettings
    mail_sealing: MailSealingSettings
    egress: EgressSettings
    sealing: SealingSettings
    notifications: NotificationsSettings


@dataclass(frozen=True)
class ApiSettings:
    """All groups of this service's API."""

    process: ProcessSettings
    database: DatabaseSettings
    redis: RedisSettings
    identity: IdentityVerificationSettings
    cursors: CursorSettings
    egress: EgressSettings
    sealing: SealingSettings
    notifications: NotificationsSettings


def load() -> Settings:
    """Read the settings of the background roles. Raises SettingsError with everything that is wrong."""
    settings = load_settings(Settings, prefix=PREFIX)
    if settings.process.environment == "production" and not settings.mail.sends_in_its_own_name:
        raise SettingsError(f"MAIL_FROM: in production mail needs a sender of its own (for example {EXAMPLE_SENDER}).")
    egress_rules(settings)
    return settings


def load_api() -> ApiSettings:
    """Read the settings of the API. Raises SettingsError with everything that is wrong."""
    settings = load_settings(ApiSettings, prefix=PREFIX)
    egress_rules(settings)
    return settings


def egress_rules(settings: Settings | ApiSettings) -> EgressRules:
    """Return where requests to URLs of users may go. Raises SettingsError where that is too much for production."""
    return settings.egress.rules(production=settings.process.environment == "production")
