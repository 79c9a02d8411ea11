"""Identity providers for tests: a real one as a process of its own, and one that a test tells what to answer."""

import base64
import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx2
import jwt
import pytest
from aiohttp import web
from chassis.ids import uuid7
from cryptography.hazmat.primitives.asymmetric import rsa
from testkit.servers import HOST, Server, free_port

REDIRECT = "http://127.0.0.1:3999/login/done"
CLIENT, SECRET = "taskloom", "s3cret: of+the client"
COUNTS = (
    "SELECT (SELECT count(*) FROM auth.session), (SELECT count(*) FROM auth.account), "
    "(SELECT count(*) FROM auth.oidc_identity)"
)


@dataclass
class Sso:
    """An app with a provider, as a client uses it."""

    api: httpx2.AsyncClient
    provider: str

    async def start(self, redirect_uri: str = REDIRECT) -> dict[str, Any]:
        answer = await self.api.post(f"/api/v1/auth/oidc/{self.provider}/start", json={"redirect_uri": redirect_uri})
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def start_link(self, login, redirect_uri: str = REDIRECT) -> dict[str, Any]:
        path, body = f"/api/v1/auth/oidc/{self.provider}/link", {"redirect_uri": redirect_uri}
        answer = await self.api.post(path, json=body, headers=login.headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def complete(self, flow: dict[str, Any], code: str, **more: Any) -> httpx2.Response:
        body = {"code": code, "state": flow["state"], "flow_token": flow["flow_token"], **more}
        return await self.api.post(f"/api/v1/auth/oidc/{self.provider}/complete", json=body)


@pytest.fixture(scope="session")
def mock_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The package oidc-provider-mock, an OpenID provider that others test with too."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "oidc_provider_mock",
        "--port",
        str(port),
        "--host",
        HOST,
        "--require-nonce",
        "true",
    ]
    log = tmp_path_factory.mktemp("oidc") / "provider.log"
    server = Server(command, f"http://{HOST}:{port}", port, log)
    server.start()
    yield server
    server.stop()


class Browser:
    """Somebody with an account at the real provider, who fills in its form."""

    def __init__(self, provider: Server, subject: str) -> None:
        self._url = provider.url
        self.subject = subject

    async def have(self, **claims: Any) -> None:
        """Be known to the provider with these claims."""
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
            answer = await client.put(f"{self._url}/users/{self.subject}", json=claims)
            assert answer.status_code == 204, answer.text

    async def authorize(self, url: str) -> dict[str, str]:
        """Open the page, send its form, and return what the provider sends back to the app."""
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
            page = await client.get(url)
            assert page.status_code == 200, page.text
            assert '<form method="post"' in page.text
            answer = await client.post(url, data={"sub": self.subject})
        assert answer.status_code == 302, answer.text
        location = answer.headers["location"]
        assert location.startswith(f"{REDIRECT}?")
        return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@pytest.fixture
def browser(mock_provider: Server) -> Browser:
    return Browser(mock_provider, f"subject-{uuid7().hex}")


@pytest.fixture
async def real(open_api, mock_provider: Server) -> AsyncIterator[Sso]:
    """The app with the real provider."""
    config = {
        "id": "mock",
        "name": "Mock",
        "issuer": mock_provider.url,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "redirect_uris": [REDIRECT],
    }
    async with open_api(oidc_providers=[config]) as api:
        yield Sso(api, "mock")


class Keys:
    """Key pairs, made once: RSA takes a while."""

    def __init__(self) -> None:
        self.good = rsa.generate_private_key(65537, 2048)
        self.other = rsa.generate_private_key(65537, 2048)
        self.weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


def jwk(key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    """Return the public key as providers publish it."""
    algorithm = jwt.algorithms.RSAAlgorithm
    found = algorithm.to_jwk(key.public_key(), as_dict=True)
    found.pop("key_ops", None)
    return {**found, **({} if kid is None else {"kid": kid}), **more}


@dataclass
class Issued:
    """A code, with what the request for it said."""

    nonce: str
    challenge: str
    redirect_uri: str


@dataclass
class Provider:
    """An honest provider that checks PKCE and client, except for what a test has changed."""

    key: Any
    port: int = 0
    claims: dict[str, Any] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)
    userinfo: dict[str, Any] | None = None
    discovery: dict[str, Any] = field(default_factory=dict)
    published: list[dict[str, Any]] = field(default_factory=list)
    sign: Any = None
    answers: dict[str, Any] = field(default_factory=dict)
    token_more: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    codes: dict[str, Issued] = field(default_factory=dict)
    subject: str = field(default_factory=lambda: f"subject-{uuid7().hex}")
    email: str = field(default_factory=lambda: f"{uuid7().hex}@example.com")

    @property
    def issuer(self) -> str:
        return f"http://{HOST}:{self.port}"

    def config(self, **changed: Any) -> dict[str, Any]:
        return {
            "id": "scripted",
            "name": "Scripted",
            "issuer": self.issuer,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": [REDIRECT],
            **changed,
        }

    def authorize(self, url: str) -> str:
        """Return a code for a request, as after a login there."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = uuid7().hex
        self.codes[code] = Issued(query["nonce"], query["code_challenge"], query["redirect_uri"])
        return code

    def id_token(self, nonce: str, access_token: str) -> str:
        now = int(time.time())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims = {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
            "email": self.email,
            "email_verified": True,
            "name": "Ada",
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if name not in self.without}
        if self.sign is not None:
            return self.sign(claims)
        payload = json.dumps(claims).encode()
        return jwt.api_jws.encode(payload, self.key, "RS256", headers={"kid": "good"})

    async def _discover(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                **self.discovery,
            }
        )

    async def jwks(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": self.published or [jwk(self.key, "good", use="sig", alg="RS256")]})

    async def token(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        self.seen.append({**form, "authorization": request.headers.get("authorization")})
        issued = self.codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proven = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
        if issued is None or proven != issued.challenge or form["redirect_uri"] != issued.redirect_uri:
            return web.json_response({"error": "invalid_grant"}, status=400)
        access_token = uuid7().hex
        body = {
            "access_token": access_token,
            "token_type": "Bearer",
            "id_token": self.id_token(issued.nonce, access_token),
            **self.token_more,
        }
        return web.json_response({name: value for name, value in body.items() if value is not None})

    async def tell_userinfo(self, _request: web.Request) -> web.Response:
        return web.json_response(self.userinfo or {"sub": self.subject})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Be there, on a port of its own."""
        app = web.Application(middlewares=[self._middleware])
        app.router.add_get("/.well-known/openid-configuration", self._discover)
        app.router.add_get("/jwks", self.jwks)
        app.router.add_post("/token", self.token)
        app.router.add_get("/userinfo", self.tell_userinfo)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, HOST, self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        yield
        await runner.cleanup()

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path)
        scripted = self.answers.get(request.path)
        return await (scripted(request) if scripted else handler(request))


@pytest.fixture
async def provider(keys: Keys) -> AsyncIterator[Provider]:
    found = Provider(keys.good)
    async with found.serving():
        yield found


@pytest.fixture
async def sso(open_api, provider: Provider) -> AsyncIterator[Sso]:
    """The app with the scripted provider."""
    async with open_api(oidc_providers=[provider.config()]) as api:
        yield Sso(api, "scripted")


@pytest.fixture
def enter(sso: Sso, provider: Provider):
    """Logs in with the scripted provider, from the beginning to the answer."""

    async def enter(through: Sso = sso, **more: Any) -> httpx2.Response:
        flow = await through.start()
        return await through.complete(flow, provider.authorize(flow["authorization_url"]), **more)

    return enter


@pytest.fixture
def counts(rows):
    """How many sessions, accounts and identities there are."""

    async def counts():
        return (await rows(COUNTS))[0]

    return counts


@pytest.fixture
def refusals(rows):
    """What the audit says of the last refusal at a provider."""

    async def refusals():
        found = await rows(
            "SELECT outcome, details FROM auth.audit_event WHERE action = 'oidc.refused' ORDER BY id DESC LIMIT 1"
        )
        return found[0] if found else None

    return refusals


@pytest.fixture
def mails(rows):
    """The kinds of mail that were asked for, for an account."""

    async def mails(account_id: UUID | str):
        found = await rows(
            "SELECT data->'resource'->>'kind', data->'resource'->'details' FROM auth.outbox "
            "WHERE type = 'account_mail.requested.v1' AND data->'resource'->>'user_id' = :id ORDER BY event_id",
            id=str(account_id),
        )
        return [tuple(row) for row in found]

    return mails
