"""The tasks service within this process, and who asks it: what the gateway would add is signed here."""

import base64
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
from chassis.db.engine import Database
from chassis.settings import (
    BrokerSettings,
    CursorSettings,
    DatabaseSettings,
    IdentityVerificationSettings,
    MailSealingSettings,
    ProcessSettings,
)
from chassis.web.health import Health
from pydantic import SecretStr
from tasks_service.db import ROW_SECURITY
from tasks_service.main import create_app
from tasks_service.settings import Settings, TasksSettings
from testkit.identities import TestGateway

Client = httpx2.AsyncClient


@dataclass
class Caller:
    """Somebody who asks, with an identity that is signed anew now and then, since one counts for a minute."""

    gateway: TestGateway
    user_id: UUID
    _signed: dict[str, str] = field(default_factory=dict)
    _until: float = 0

    def headers(self) -> dict[str, str]:
        """Return what the gateway adds."""
        if time.monotonic() > self._until:
            self._signed, self._until = self.gateway.headers(self.user_id), time.monotonic() + 20
        return self._signed


def client_of(settings: Settings, database: Database, *, guarded: bool = True) -> Client:
    """Return a client of an app in this process; requests run under row-level security if it is `guarded`."""
    app: Any = create_app(settings, database=database, health=Health())
    app.state.row_security = ROW_SECURITY if guarded else None
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://tasks", timeout=600)


def settings_of(database: DatabaseSettings, gateway: TestGateway) -> Settings:
    """Return the settings of the service, as little as it needs."""
    return Settings(
        process=ProcessSettings(environment="test"),
        database=database,
        broker=BrokerSettings(url=SecretStr("redis://127.0.0.1:1")),
        identity=IdentityVerificationSettings(verify_key=SecretStr(gateway.verify_key)),
        cursors=CursorSettings(secret=SecretStr("a secret of a measurement, long enough")),
        mail_sealing=MailSealingSettings(keys=SecretStr(f"k1:{base64.b64encode(b'm' * 32).decode()}")),
        tasks=TasksSettings(min_cursor_wait_ms=200),
    )
