"""The auth service through ASGI, on a real database that its own migrations made."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp.web
import httpx2
import jwt
import pyotp
import pytest
from auth_service.account_mail.rules import token_place
from auth_service.db import ROOT, Outbox
from auth_service.main import create_app, openapi_document
from auth_service.passkey_settings import PasskeySettings
from auth_service.passwords.service import PasswordHasher
from auth_service.provider_settings import OidcSettings
from auth_service.relay import OUTBOX
from auth_service.scheduler import jobs
from auth_service.settings import AuthSettings, Settings, TokenSettings
from chassis.background import Job
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.ids import uuid7
from chassis.settings import (
    BrokerSettings,
    CursorSettings,
    DatabaseSettings,
    IdentityVerificationSettings,
    MailSealingSettings,
    ProcessSettings,
)
from chassis.tokens import IdentityVerifier
from chassis.web.health import Health
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from sqlalchemy import select, text
from testkit.commands import Command, commands_of
from testkit.contract import Contract, contract_client
from testkit.databases import migrated_database
from testkit.identities import TestGateway
from testkit.jobs import run_to_end
from testkit.statements import statements_seen

PASSWORD = "violet-harbor-77"
RING_KEY = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
MAIL_KEY = "m1:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
NOWHERE = {
    "id": "nowhere",
    "name": "Nowhere",
    "issuer": "http://127.0.0.1:1",
    "client_id": "taskloom",
    "redirect_uris": ["https://app.example.com/done"],
}
"""A provider that can't be reached."""
SCHEMAS = Path(__file__).parents[3] / "contracts" / "events" / "auth"

Rows = Callable[..., Awaitable[list[tuple[Any, ...]]]]


@dataclass(frozen=True)
class Account:
    """Somebody who has signed up."""

    id: UUID
    email: str
    password: str
    gateway: TestGateway

    @property
    def credentials(self) -> dict[str, str]:
        return {"email": self.email, "password": self.password}

    def headers(self, session_id: UUID | None = None, **more: str) -> dict[str, str]:
        """What the gateway adds for this user."""
        return {**self.gateway.headers(self.id, session_id=session_id), **more}


@dataclass(frozen=True)
class Login:
    """A session of an account, with the answer that began it."""

    account: Account
    tokens: dict[str, Any]

    @property
    def session_id(self) -> UUID:
        claims = jwt.decode(self.tokens["access_token"], options={"verify_signature": False})
        return UUID(claims["sid"])

    @property
    def headers(self) -> dict[str, str]:
        return self.account.headers(self.session_id)


@pytest.fixture(scope="session")
def database_settings(postgres_url: str, worker_id: str) -> DatabaseSettings:
    return migrated_database(postgres_url, f"auth_{worker_id}", lambda url: upgrade(ROOT, url=url))


@pytest.fixture(scope="session")
async def database(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    found = open_database(database_settings, application_name="auth-tests")
    yield found
    await found.close()


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract(openapi_document(), tests=Path(__file__).parent)


class TasksApi:
    """The internal API of the tasks service, as its contract says, on a port of its own."""

    def __init__(self, gateway: TestGateway) -> None:
        self._verifier = IdentityVerifier(gateway.verify_key)
        self.roles: dict[UUID, dict[UUID, str]] = {}
        self.calls: list[UUID] = []
        self.hold: asyncio.Event | None = None
        self.answer: aiohttp.web.Response | None = None

    def reset(self) -> None:
        self.roles, self.calls = {}, []
        self.hold = self.answer = None

    def join(self, user_id: UUID, workspace_id: UUID, role: str) -> None:
        self.roles.setdefault(user_id, {})[workspace_id] = role

    async def list_memberships(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        user_id = self._verifier.verify(request.headers["x-taskloom-identity"]).principal.user_id
        self.calls.append(user_id)
        if self.hold is not None:
            await self.hold.wait()
        if self.answer is not None:
            return self.answer
        joined = self.roles.get(user_id, {}).items()
        rows = [{"workspace_id": str(workspace), "role": role, "joined_seq": 1} for workspace, role in joined]
        return aiohttp.web.json_response({"memberships": rows})


@pytest.fixture(scope="session")
async def tasks_server(test_gateway: TestGateway) -> AsyncIterator[tuple[TasksApi, str]]:
    api = TasksApi(test_gateway)
    app = aiohttp.web.Application()
    app.router.add_get("/internal/memberships", api.list_memberships)
    runner = aiohttp.web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    yield api, f"http://{host}:{port}"
    await runner.cleanup()


@pytest.fixture
def tasks_api(tasks_server: tuple[TasksApi, str]) -> TasksApi:
    api, _ = tasks_server
    api.reset()
    return api


@pytest.fixture(scope="session")
def make_settings(
    database_settings: DatabaseSettings, test_gateway: TestGateway, tasks_server: tuple[TasksApi, str]
) -> Callable[..., Settings]:
    def make(*, oidc_providers: Sequence[dict[str, Any]] = (NOWHERE,), **changed: Any) -> Settings:
        return Settings(
            process=ProcessSettings(environment="test"),
            database=database_settings,
            broker=BrokerSettings(url=SecretStr("redis://127.0.0.1:1")),
            identity=IdentityVerificationSettings(verify_key=SecretStr(test_gateway.verify_key)),
            tokens=TokenSettings(),
            mail_sealing=MailSealingSettings(keys=SecretStr(MAIL_KEY)),
            auth=AuthSettings(**{"encryption_keys": SecretStr(RING_KEY), "tasks_url": tasks_server[1], **changed}),
            cursors=CursorSettings(secret=SecretStr("a secret of at least 32 characters")),
            oidc=OidcSettings(oidc_providers=oidc_providers),
            passkeys=PasskeySettings(),
        )

    return make


OpenApi = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture(scope="session")
def open_api(make_settings: Callable[..., Settings], database: Database, contract: Contract) -> OpenApi:
    """Opens an app of its own, with settings or a database of its own. Its hashes are cheap if not told otherwise."""

    @asynccontextmanager
    async def open_api(
        *, on: Database = database, passwords: PasswordHasher | None = None, **changed: Any
    ) -> AsyncIterator[httpx2.AsyncClient]:
        hasher = passwords or PasswordHasher(memory_kib=64, passes=1)
        app: FastAPI = create_app(make_settings(**changed), database=on, health=Health(), passwords=hasher)
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            contract_client(contract, transport=transport, base_url="http://auth") as client,
        ):
            yield client

    return open_api


@pytest.fixture(scope="session")
async def api(open_api: OpenApi) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_api() as client:
        yield client


@pytest.fixture
def new_address() -> Callable[[], str]:
    """Makes an address in a network of its own, so that the failures of one test do not count in another."""
    return lambda: str(IPv6Address(secrets.randbits(125) | 1 << 125))


SignUp = Callable[..., Awaitable[Account]]
LogIn = Callable[..., Awaitable[Login]]


@pytest.fixture
def sign_up(api: httpx2.AsyncClient, test_gateway: TestGateway) -> SignUp:
    async def sign_up(email: str | None = None, password: str = PASSWORD) -> Account:
        body = {"email": email or f"{uuid7().hex}@example.com", "password": password, "display_name": "Ada"}
        answer = await api.post("/api/v1/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        return Account(UUID(answer.json()["data"]["id"]), body["email"], password, test_gateway)

    return sign_up


@pytest.fixture
def log_in(api: httpx2.AsyncClient) -> LogIn:
    async def log_in(account: Account, **headers: str) -> Login:
        answer = await api.post("/api/v1/auth/login", json=account.credentials, headers=headers)
        assert answer.status_code == 200, answer.text
        return Login(account, answer.json()["data"])

    return log_in


@pytest.fixture
async def account(sign_up: SignUp) -> Account:
    return await sign_up()


Confirm = Callable[[Account], Awaitable[Account]]


@pytest.fixture
def confirm(rows: Rows) -> Confirm:
    """Lets somebody have confirmed their address, without a link: only then an account is told of what happens."""

    async def confirm(account: Account) -> Account:
        await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=account.id)
        return account

    return confirm


@pytest.fixture
async def confirmed(account: Account, confirm: Confirm) -> Account:
    return await confirm(account)


@pytest.fixture
async def login(account: Account, log_in: LogIn) -> Login:
    return await log_in(account)


@dataclass(frozen=True)
class Factor:
    """What an authenticator app and a sheet of paper have after one-time codes were set up."""

    seed: str
    recovery_codes: list[str]

    def code(self, ahead: int = 0) -> str:
        """The code of now, or of a later step."""
        return pyotp.TOTP(self.seed).at(utcnow(), counter_offset=ahead)


Enrol = Callable[[Login], Awaitable[Factor]]


@pytest.fixture
def enrol(api: httpx2.AsyncClient, rows: Rows) -> Enrol:
    """Sets up one-time codes; the code that this took may be used once more."""

    async def enrol(login: Login) -> Factor:
        begun = await api.post("/api/v1/auth/mfa/totp", headers=login.headers)
        assert begun.status_code == 200, begun.text
        factor = Factor(begun.json()["data"]["secret"], [])
        body = {"code": factor.code()}
        confirmed = await api.post("/api/v1/auth/mfa/totp/confirm", json=body, headers=login.headers)
        assert confirmed.status_code == 200, confirmed.text
        await rows("UPDATE auth.totp SET last_step = NULL WHERE user_id = :id", id=login.account.id)
        return Factor(factor.seed, confirmed.json()["data"]["recovery_codes"])

    return enrol


@pytest.fixture
def rows(database: Database) -> Rows:
    """Runs SQL beside the service, and returns the rows."""

    async def run(statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with database.writer.begin() as connection:
            result = await connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    return run


RunJob = Callable[[str], Awaitable[int]]


@pytest.fixture
def all_jobs(make_settings: Callable[..., Settings]) -> tuple[Job, ...]:
    return jobs(make_settings())


@pytest.fixture
def run_job(database: Database, all_jobs: tuple[Job, ...]) -> RunJob:
    """Runs a job to its end; returns how many transactions that took."""
    return partial(run_to_end, database, all_jobs)


@pytest.fixture
def command(database_settings: DatabaseSettings, test_gateway: TestGateway) -> Command:
    """Runs a command of the service as an operator does; returns its exit code, what it said and what it complained."""
    return commands_of(
        "auth_service",
        Settings,
        DATABASE_URL=database_settings.url.get_secret_value(),
        IDENTITY_VERIFY_KEY=test_gateway.verify_key,
        AUTH_ENCRYPTION_KEYS=RING_KEY,
        MAIL_SEALING_KEYS=MAIL_KEY,
    )


@pytest.fixture
def statements(database: Database) -> Iterator[list[str]]:
    """The statements that reach the database."""
    with statements_seen(database.writer) as seen:
        yield seen


@dataclass(frozen=True)
class Mail:
    """A mail that was asked for, with the token of its link in the clear."""

    kind: str
    to: str
    token: str | None
    event: dict[str, Any]


Mails = Callable[[str], Awaitable[list[Mail]]]


@pytest.fixture
def mails(database: Database, make_settings: Callable[..., Settings], run_job: RunJob) -> Mails:
    """Does what was asked, and returns all mails to an address, the oldest first; each event fits its schema."""
    ring = make_settings().mail_sealing.ring()
    outbox = table_of(Outbox)

    async def mails(to: str) -> list[Mail]:
        await run_job("handle-mail-requests")
        resource = outbox.c.data["resource"]
        query = select(outbox).where(outbox.c.type == "account_mail.requested.v1", resource["to"].astext == to)
        async with database.writer.connect() as connection:
            found = (await connection.execute(query.order_by(outbox.c.event_id))).mappings().all()
        return [opened(json.loads(OUTBOX.envelope(row).to_json())) for row in found]

    def opened(event: dict[str, Any]) -> Mail:
        check_schema(event)
        mail = event["data"]["resource"]
        sealed = mail["token_sealed"]
        token = ring.open(sealed, place=token_place(UUID(mail["id"]))).decode() if sealed else None
        return Mail(mail["kind"], mail["to"], token, event)

    return mails


Events = Callable[[UUID], Awaitable[list[str]]]


@pytest.fixture
def events(database: Database) -> Events:
    """The types of the events about somebody's account and sessions, the oldest first; each fits its schema."""

    async def events(user_id: UUID) -> list[str]:
        outbox = table_of(Outbox)
        query = select(outbox).where(outbox.c.data["audience"][0].astext == str(user_id)).order_by(outbox.c.event_id)
        async with database.writer.connect() as connection:
            found = (await connection.execute(query)).mappings().all()
        for row in found:
            check_schema(json.loads(OUTBOX.envelope(row).to_json()))
        return [row["type"] for row in found]

    return events


def check_schema(event: dict[str, Any]) -> None:
    """Raise unless the event is as its contract says."""
    schema = json.loads((SCHEMAS / f"{event['type']}.schema.json").read_bytes())
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(event)


MAILS = """
    SELECT data->'resource' FROM auth.outbox
    WHERE type = 'account_mail.requested.v1' AND data->'audience'->>0 = :id ORDER BY event_id
"""


@pytest.fixture
def mails_about(rows):
    """The mails that were asked for about an account, the oldest first."""

    async def mails_about(user_id):
        return [mail for (mail,) in await rows(MAILS, id=str(user_id))]

    return mails_about


@pytest.fixture
def make_admin(rows):
    async def make_admin(account):
        await rows("UPDATE auth.account SET roles = '{user,admin}' WHERE id = :id", id=account.id)

    return make_admin


@pytest.fixture
async def admin(sign_up: SignUp, make_admin: Any) -> Account:
    """An administrator beside others."""
    account = await sign_up()
    await make_admin(account)
    return account


@pytest.fixture
async def only_admin(rows, account, make_admin):
    """Nobody else is an administrator while the test runs."""
    query = "UPDATE auth.account SET roles = '{user}' WHERE 'admin' = ANY (roles) RETURNING id"
    others = await rows(query)
    await make_admin(account)
    yield account
    for (other,) in others:
        await rows("UPDATE auth.account SET roles = '{user,admin}' WHERE id = :id", id=other)
    await rows("UPDATE auth.account SET roles = '{user}' WHERE id = :id", id=account.id)
