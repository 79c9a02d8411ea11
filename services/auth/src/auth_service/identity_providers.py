"""Talking to identity providers: discovery, keys, codes. Nothing that one of them answers is believed unchecked."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote_plus

import aiohttp
import orjson
import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from auth_service.oidc.errors import IdentityProviderUnavailable
from auth_service.oidc.rules import Claims, Expected, NotProven, Person, UnknownKey, person_of, verify_id_token
from auth_service.provider_settings import ProviderConfig, is_endpoint

log = structlog.get_logger()

DISCOVERY_PATH = "/.well-known/openid-configuration"
SECONDS = 2.4
"""For all that one request asks of a provider: the gateway waits for 3 seconds."""
MAX_BYTES = 64 * 1024
MAX_KEYS = 50
KEPT_SECONDS = 3600.0
REFETCH_SECONDS = 10.0
ANSWERED = frozenset({HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED})
"""What a token endpoint answers with when it has something to say (RFC 6749, sections 5.1 and 5.2)."""
CLIENT_REFUSED = frozenset({"invalid_client", "unauthorized_client"})
OUR_FAULT = CLIENT_REFUSED | {"unsupported_grant_type"}
"""Errors of a token endpoint (RFC 6749, section 5.2) that no caller can bring about."""
FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ValueError)

T = TypeVar("T")


def _endpoint(url: str) -> str:
    if not is_endpoint(url, loopback=True):
        raise ValueError("expected an address that begins with https://")
    return url


Endpoint = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_endpoint)]


class Discovery(BaseModel):
    """What is needed of the discovery document (OpenID Connect Discovery 1.0, section 3)."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    issuer: str
    authorization_endpoint: Endpoint
    token_endpoint: Endpoint
    jwks_uri: Endpoint
    userinfo_endpoint: Endpoint | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool = False

    @property
    def endpoints(self) -> Sequence[str]:
        """Every address that it names."""
        named = (self.authorization_endpoint, self.token_endpoint, self.jwks_uri, self.userinfo_endpoint)
        return [one for one in named if one is not None]


class Kept(Generic[T]):
    """A document that is fetched when it is missing or older than asked for; one fetch serves all who wait for it."""

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._tried_at = self._failed_at = float("-inf")

    async def get(self, *, max_age: float) -> T:
        """Return the document. Raises IdentityProviderUnavailable."""
        asked_at = time.monotonic()
        async with self._lock:
            if self._value is not None and asked_at - self._tried_at <= max_age:
                return self._value
            if self._failed_at >= asked_at:
                raise IdentityProviderUnavailable(retry_after=1, log_detail="it has just failed")
            try:
                self._value = await self._fetch()
            except (IdentityProviderUnavailable, asyncio.CancelledError):
                self._failed_at = time.monotonic()
                raise
            self._tried_at = time.monotonic()
            return self._value


class IdentityProvider:
    """One provider: where it is, and what it says about people."""

    def __init__(self, config: ProviderConfig, session: aiohttp.ClientSession) -> None:
        self.config = config
        self._session = session
        self._discovery = Kept(self._discover)
        self._keys = Kept(self._fetch_keys)

    async def discovery(self) -> Discovery:
        """Return where its endpoints are. Raises IdentityProviderUnavailable."""
        async with self._in_time():
            return await self._discovery.get(max_age=KEPT_SECONDS)

    async def prove(
        self, *, code: str, verifier: str, nonce: str, redirect_uri: str, named_issuer: str | None
    ) -> Person:
        """Return who has logged in there, for the code that the browser brought back.

        `named_issuer` is the `iss` beside the code (RFC 9207). Raises NotProven, IdentityProviderUnavailable.
        """
        async with self._in_time():
            found = await self._discovered(named_issuer)
            answer = await self._exchange(found, code=code, verifier=verifier, redirect_uri=redirect_uri)
            return await self._person(found, answer, nonce)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Raise IdentityProviderUnavailable when what is asked within takes too long altogether."""
        try:
            async with asyncio.timeout(SECONDS):
                yield
        except TimeoutError:
            raise self._unavailable("all", f"not done within {SECONDS} seconds") from None

    async def _discovered(self, named_issuer: str | None) -> Discovery:
        """Return where to take a code that came with this `iss`. Raises NotProven when it is another provider's."""
        found = await self.discovery()
        if found.authorization_response_iss_parameter_supported and named_issuer is None:
            raise NotProven("the provider names itself beside a code, and here it was not named")
        if named_issuer not in {None, self.config.issuer}:
            raise NotProven("the code is of another provider")
        return found

    async def _person(self, found: Discovery, answer: Claims, nonce: str) -> Person:
        """Return whom the answer of the token endpoint names. Raises NotProven, IdentityProviderUnavailable."""
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str):
            raise NotProven("the provider gave no ID token")
        access_token = access_token if isinstance(access_token, str) and _is_token(access_token) else None
        expected = Expected(self.config.issuer, self.config.client_id, nonce, access_token)
        claims = await self._verify(id_token, expected)
        profile = await self._profile(found, claims, access_token)
        return person_of(claims, profile, trusted_domains=self.config.trusted_email)

    async def _discover(self) -> Discovery:
        url = self.config.issuer.removesuffix("/") + DISCOVERY_PATH
        try:
            found = Discovery.model_validate(await self._document(url))
        except ValidationError as error:
            raise self._unavailable("discovery", f"{error.error_count()} fields are missing or wrong") from None
        if found.issuer != self.config.issuer:
            raise self._unavailable("discovery", "it names another issuer")
        if not all(is_endpoint(one, loopback=self.config.on_loopback) for one in found.endpoints):
            raise self._unavailable("discovery", "an endpoint is not https")
        return found

    async def _fetch_keys(self) -> Sequence[Claims]:
        found = await self.discovery()
        keys = (await self._document(found.jwks_uri)).get("keys")
        if not isinstance(keys, list) or len(keys) > MAX_KEYS:
            raise self._unavailable("keys", "no list of keys")
        return [key for key in keys if isinstance(key, dict)]

    async def _verify(self, id_token: str, expected: Expected) -> Claims:
        """Verify with the keys that are known, and once more with those of now when the key is not among them."""
        try:
            return verify_id_token(id_token, keys=await self._keys.get(max_age=KEPT_SECONDS), expected=expected)
        except UnknownKey:
            return verify_id_token(id_token, keys=await self._keys.get(max_age=REFETCH_SECONDS), expected=expected)

    async def _exchange(self, found: Discovery, *, code: str, verifier: str, redirect_uri: str) -> Claims:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = self._authenticate(found, form)
        status, body = await self._ask("POST", found.token_endpoint, data=form, headers=headers)
        answer = self._object(body, "token") if status in ANSWERED else {}
        error = answer.get("error")
        if isinstance(error, str) and error in CLIENT_REFUSED:
            log.error("oidc.client_refused", provider=self.config.id, error=error)
        if status == HTTPStatus.BAD_REQUEST and isinstance(error, str) and error not in OUR_FAULT:
            raise NotProven("the provider does not take the code")
        if status != HTTPStatus.OK:
            raise self._unavailable("token", f"status {status}")
        return answer

    def _authenticate(self, found: Discovery, form: dict[str, str]) -> dict[str, str]:
        """Return the headers that say who we are, or add that to the form (RFC 6749, section 2.3.1)."""
        secret = self.config.client_secret
        if secret is None:
            form["client_id"] = self.config.client_id
            return {}
        known, methods = secret.get_secret_value(), found.token_endpoint_auth_methods_supported
        if methods is None or "client_secret_basic" in methods:
            pair = f"{quote_plus(self.config.client_id)}:{quote_plus(known)}"
            return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        if "client_secret_post" not in methods:
            raise self._unavailable("token", "no way of proving who we are that both sides know")
        form.update(client_id=self.config.client_id, client_secret=known)
        return {}

    async def _profile(self, found: Discovery, claims: Claims, access_token: str | None) -> Claims:
        """Return the claims about the address, all from one place: the ID token, or where it has none, userinfo."""
        if "email" in claims or found.userinfo_endpoint is None or access_token is None:
            return claims
        bearer = {"authorization": f"Bearer {access_token}"}
        status, body = await self._ask("GET", found.userinfo_endpoint, headers=bearer)
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise NotProven("the provider does not take its own access token")
        if status != HTTPStatus.OK:
            raise self._unavailable("userinfo", f"status {status}")
        profile = self._object(body, "userinfo")
        if profile.get("sub") != claims["sub"]:
            raise NotProven("userinfo is about somebody else")
        return profile

    async def _document(self, url: str) -> Claims:
        status, body = await self._ask("GET", url)
        if status != HTTPStatus.OK:
            raise self._unavailable("document", f"status {status}")
        return self._object(body, "document")

    async def _ask(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, data: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return status and body. Redirects are not followed, and what is large or slow is not waited for."""
        try:
            async with self._session.request(
                method,
                url,
                headers={"accept": "application/json", "accept-encoding": "identity", **(headers or {})},
                data=data,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=SECONDS),
            ) as response:
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise self._unavailable(method, "packed, though asked for as it is")
                body = bytearray()
                async for chunk in response.content.iter_chunked(8192):
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise self._unavailable(method, f"more than {MAX_BYTES} bytes")
                return response.status, bytes(body)
        except FAILURES as error:
            raise self._unavailable(method, type(error).__name__) from None

    def _object(self, body: bytes, what: str) -> Claims:
        try:
            found: Any = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise self._unavailable(what, "not JSON") from None
        if not isinstance(found, dict):
            raise self._unavailable(what, "not an object")
        return found

    def _unavailable(self, what: str, reason: str) -> IdentityProviderUnavailable:
        log.warning("oidc.provider_unavailable", provider=self.config.id, asked=what, reason=reason)
        return IdentityProviderUnavailable(retry_after=1, log_detail=f"{self.config.id}: {what}: {reason}")


class IdentityProviders:
    """Those that are configured, by id and in that order; they can be used between `open` and `close`."""

    def __init__(self, configs: Sequence[ProviderConfig]) -> None:
        self.configs = {config.id: config for config in configs}
        self._providers: dict[str, IdentityProvider] = {}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the client; nothing is fetched before it is needed."""
        self._session = aiohttp.ClientSession(
            trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        self._providers = {name: IdentityProvider(one, self._session) for name, one in self.configs.items()}

    async def close(self) -> None:
        """Close what connections there are."""
        if self._session is not None:
            await self._session.close()

    def find(self, name: str) -> IdentityProvider | None:
        """Return a provider."""
        return self._providers.get(name)


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
