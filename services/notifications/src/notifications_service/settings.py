"""Everything the notifications service reads from the environment."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Literal

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
from notifications_service.push.accounts import ApnsAccount, ServiceAccount
from notifications_service.push.keys import private_key, public_key

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

    task_links_url: PageUrl | None = Field(
        default=None,
        validation_alias="TASK_LINKS_URL",
        description="What links to tasks in mails, chats and pushes begin with, an app's pages, to which the task's id "
        "is added; PUBLIC_BASE_URL/api/v1/tasks without it, which people who follow a link can't read.",
        examples=["https://app.example.com/tasks"],
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
    def tasks_url(self) -> str:
        """What links to tasks begin with."""
        return self.task_links_url or f"{self.public_base_url}/api/v1/tasks"

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
        description="Seals keys of webhooks, URLs, and links that turn mail off, for as long as the key is here: "
        "`kid:base64(32 bytes)`, newest first, separated by commas.",
        examples=["k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="],
    )

    def ring(self) -> KeyRing:
        """Return the keys."""
        return KeyRing.parse(self.keys.get_secret_value())


def _vapid_key(value: SecretStr) -> SecretStr:
    private_key(value.get_secret_value())
    return value


def _service_account(value: SecretStr) -> SecretStr:
    ServiceAccount.parse(value.get_secret_value())
    return value


class ChannelSettings(SettingsGroup):
    """How notifications leave beside mail."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    drivers: Literal["real", "recording"] = Field(
        default="real",
        description=(
            "`recording` sends nothing to chats and devices, and keeps what would be sent, mails too, for "
            "`GET /api/v1/recorded-messages`; not in production."
        ),
    )
    vapid_key: Annotated[SecretStr, AfterValidator(_vapid_key)] | None = Field(
        default=None,
        description=(
            "Private key for Web Push: the 32 bytes of a P-256 scalar in base64url. Another one ends all subscriptions "
            "of browsers; without it there are none."
        ),
        examples=["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"],
    )
    fcm_service_account: Annotated[SecretStr, AfterValidator(_service_account)] | None = Field(
        default=None,
        description="Key of a service account that may send by FCM: its JSON. Needs the extra `fcm`.",
        examples=['{"type": "service_account", "project_id": "...", "client_email": "...", "private_key": "..."}'],
    )
    apns_key: SecretStr | None = Field(
        default=None,
        description="Private key of APNs (the content of the .p8 file). Needs the extra `apns`, and the next three.",
        examples=["-----BEGIN PRIVATE KEY-----\\n...\\n-----END PRIVATE KEY-----"],
    )
    apns_key_id: str | None = Field(default=None, description="Id of the key of APNs.", examples=["ABC123DEFG"])
    apns_team_id: str | None = Field(default=None, description="Id of the team at Apple.", examples=["DEF123GHIJ"])
    apns_topic: str | None = Field(default=None, description="Bundle id of the app.", examples=["com.example.app"])
    apns_sandbox: bool = Field(default=False, description="Whether devices are those of a development build.")

    @property
    def records(self) -> bool:
        """Whether messages are kept instead of sent."""
        return self.drivers == "recording"

    @property
    def apns(self) -> ApnsAccount | None:
        """Who sends to Apple's devices, None where nobody does."""
        parts = (self.apns_key, self.apns_key_id, self.apns_team_id, self.apns_topic)
        if self.apns_key is None or not all(parts):
            return None
        key = self.apns_key.get_secret_value().replace("\\n", "\n")
        return ApnsAccount(str(self.apns_key_id), str(self.apns_team_id), str(self.apns_topic), key, self.apns_sandbox)

    @property
    def fcm(self) -> ServiceAccount | None:
        """Who sends by FCM, None where nobody does."""
        given = self.fcm_service_account
        return None if given is None else ServiceAccount.parse(given.get_secret_value())

    @property
    def devices(self) -> tuple[str, ...]:
        """The kinds of device that can be sent to."""
        found = {"webpush": self.vapid_key, "fcm": self.fcm, "apns": self.apns}
        return tuple(kind for kind, given in found.items() if given is not None or self.records)

    @property
    def vapid_public_key(self) -> str | None:
        """What browsers subscribe with."""
        return None if self.vapid_key is None else public_key(self.vapid_key.get_secret_value())


class NotificationsSettings(SettingsGroup):
    """The service's own settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    tasks_url: str = Field(
        description="Tasks service, asked for memberships made a moment ago.", examples=["http://tasks:8000"]
    )
    replay_days: int = Field(default=30, ge=1, le=365, description="How long a cursor can be resumed from, in days.")
    kept_days: int = Field(default=90, ge=1, le=3650, description="How long notifications are kept, in days.")
    blocked_seconds: float = Field(
        default=5.0, gt=0, description="How long a frame may wait for a client that does not read it, in seconds."
    )
    beat_seconds: float = Field(
        default=15.0, gt=0, description="After how long without an event a stream gets a comment, in seconds."
    )
    max_sockets: int = Field(default=8000, ge=1, description="Open WebSockets and event streams of one process.")
    max_sockets_per_user: int = Field(
        default=20, ge=1, description="Open WebSockets and event streams of one user in one process."
    )


@dataclass(frozen=True)
class Settings:
    """All groups of this service's background roles."""

    process: ProcessSettings
    database: DatabaseSettings
    broker: BrokerSettings
    redis: RedisSettings
    mail: MailSettings
    mail_sealing: MailSealingSettings
    cursors: CursorSettings
    egress: EgressSettings
    sealing: SealingSettings
    channels: ChannelSettings
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
    channels: ChannelSettings
    notifications: NotificationsSettings


def load() -> Settings:
    """Read the settings of the background roles. Raises SettingsError with everything that is wrong."""
    settings = load_settings(Settings, prefix=PREFIX)
    if settings.process.environment == "production" and not settings.mail.sends_in_its_own_name:
        raise SettingsError(f"MAIL_FROM: in production mail needs a sender of its own (for example {EXAMPLE_SENDER}).")
    _refuse_recording(settings)
    _refuse_half_of_apns(settings)
    egress_rules(settings)
    return settings


def load_api() -> ApiSettings:
    """Read the settings of the API. Raises SettingsError with everything that is wrong."""
    settings = load_settings(ApiSettings, prefix=PREFIX)
    _refuse_recording(settings)
    _refuse_half_of_apns(settings)
    egress_rules(settings)
    return settings


def egress_rules(settings: Settings | ApiSettings) -> EgressRules:
    """Return where requests to URLs of users may go. Raises SettingsError where that is too much for production."""
    return settings.egress.rules(production=settings.process.environment == "production")


def _refuse_half_of_apns(settings: Settings | ApiSettings) -> None:
    own = settings.channels
    needed = {"APNS_KEY_ID": own.apns_key_id, "APNS_TEAM_ID": own.apns_team_id, "APNS_TOPIC": own.apns_topic}
    missing = [f"{PREFIX}{name}" for name, value in needed.items() if not value]
    if own.apns_key is not None and missing:
        raise SettingsError(f"{PREFIX}APNS_KEY: needs {', '.join(missing)}, too.")
    if own.apns is not None and find_spec("h2") is None:
        raise SettingsError(f"{PREFIX}APNS_KEY: needs the extra `apns` of notifications-service.")


def _refuse_recording(settings: Settings | ApiSettings) -> None:
    if settings.process.environment == "production" and settings.channels.records:
        raise SettingsError(f"{PREFIX}DRIVERS: in production messages are sent, not recorded.")
