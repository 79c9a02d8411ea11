"""Making what lives as long as the process serves, on the loop that it will run on."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import aiohttp
import redis.asyncio as redis
from chassis.tokens import AccessTokenVerifier, IdentitySigner
from chassis.web.handlers import RaisingApp, install_handlers
from chassis.web.health import Health, health_routes
from chassis.web.routing import serve_routes
from fastapi import FastAPI
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.api import own_document, router
from gateway.api_tokens import ApiTokens
from gateway.auth import Authenticator
from gateway.documents import OWN, Statuses, merge_documents
from gateway.event_documents import EventDocuments
from gateway.keys import PublishedKeys
from gateway.live import LiveConnections
from gateway.proxy import Proxy
from gateway.published import Published
from gateway.rate_limit import RateLimiter
from gateway.revocation import Revocations
from gateway.settings import Settings
from gateway.sockets import Sockets
from gateway.streams import Streams
from gateway.tickets import Tickets
from gateway.upstream_http import ServiceClient


@dataclass(frozen=True)
class Parts:
    """What lives as long as the process serves."""

    authenticator: Authenticator
    keys: PublishedKeys
    revocations: Revocations
    limiter: RateLimiter
    proxy: Proxy
    sockets: Sockets
    streams: Streams
    tickets: Tickets
    api: FastAPI


async def open_parts(settings: Settings, health: Health, stack: AsyncExitStack) -> Parts:
    """Return the parts; what has to be closed is left to `stack`."""
    upstreams = upstream_urls(settings)
    session = await stack.enter_async_context(client_session())
    services = {name: ServiceClient(url) for name, url in upstreams.items()}
    for service in services.values():
        stack.callback(service.close)
    address = settings.redis.url.get_secret_value()
    # One more try is for connections that died while they were idle.
    server = redis.Redis.from_url(address, socket_connect_timeout=1, retry=Retry(NoBackoff(), 1))
    stack.push_async_callback(server.aclose)
    # The limiter has a patience of its own, and the client's would take a task for each call.
    counting = redis.Redis.from_url(address, socket_connect_timeout=1, socket_timeout=None, retry=Retry(NoBackoff(), 1))
    stack.push_async_callback(counting.aclose)
    signer = IdentitySigner(settings.tokens.signing_key.get_secret_value())
    keys = PublishedKeys(session, f"{upstreams['auth']}/.well-known/jwks.json")
    revocations = _revocations(settings, session, signer)
    authenticator = _authenticator(settings, session, keys, revocations, signer)
    live = _live(settings, revocations)
    tickets = Tickets(server, signer)
    return Parts(
        authenticator=authenticator,
        keys=keys,
        revocations=revocations,
        limiter=RateLimiter(
            counting, workers=settings.gateway.workers, patience_seconds=settings.gateway.redis_patience_ms / 1000
        ),
        proxy=Proxy(services),
        sockets=Sockets(upstreams["notifications"], live, authenticator),
        streams=Streams(services["notifications"], live),
        tickets=tickets,
        api=_own_api(settings, health, session, tickets),
    )


def _revocations(settings: Settings, session: aiohttp.ClientSession, signer: IdentitySigner) -> Revocations:
    url = f"{upstream_urls(settings)['auth']}/internal/revocations"
    return Revocations(session, url, signer, max_age=settings.gateway.revocations_max_age_seconds)


def _authenticator(
    settings: Settings,
    session: aiohttp.ClientSession,
    keys: PublishedKeys,
    revocations: Revocations,
    signer: IdentitySigner,
) -> Authenticator:
    verifier = AccessTokenVerifier(
        issuer=settings.tokens.issuer,
        audience=settings.tokens.audience,
        max_lifetime=settings.tokens.max_lifetime,
        key_of=keys.get,
    )
    url = f"{upstream_urls(settings)['auth']}/internal/api-tokens/resolve"
    guesses = settings.gateway.anonymous_limit_per_minute
    api_tokens = ApiTokens(session, url, revocations, signer, guesses_per_minute=guesses)
    return Authenticator(verifier, keys, revocations, signer, api_tokens)


def _live(settings: Settings, revocations: Revocations) -> LiveConnections:
    live = LiveConnections(
        limit=settings.gateway.max_sockets,
        per_user=settings.gateway.max_sockets_per_user,
        check=revocations.check,
    )
    revocations.on_marks(live.end_revoked)
    revocations.on_silence(live.end_unsure)
    return live


def _own_api(settings: Settings, health: Health, session: aiohttp.ClientSession, tickets: Tickets) -> FastAPI:
    api = RaisingApp(
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, routes=[*health_routes(health)]
    )
    serve_routes(api, (router,))
    install_handlers(api)
    upstreams = upstream_urls(settings)
    api.state.routers = (router,)
    api.state.statuses = Statuses(session, upstreams)
    api.state.tickets = tickets
    server = settings.edge.public_base_url
    api.state.documents = Published(
        session, upstreams, "/openapi.json", merge=partial(merge_documents, server=server), own={OWN: own_document()}
    )
    api.state.events = Published(
        session, upstreams, "/internal/events", merge=partial(EventDocuments.of, server=server), own={}
    )
    return api


def client_session() -> aiohttp.ClientSession:
    """Return the client of the services: no cookies, no decompression, no proxies of the environment."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=10, use_dns_cache=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        trust_env=False,
        max_line_size=16 * 1024,
        max_field_size=32 * 1024,
    )
    # The library would send PUT and DELETE again on a connection that was dropped, though the service may have acted
    # (R25); there is no public switch. What may be repeated is repeated by gateway.proxy, within its budget.
    session._retry_connection = False  # noqa: SLF001 - see above
    return session


def upstream_urls(settings: Settings) -> dict[str, str]:
    """Return the services' addresses by name."""
    gateway = settings.gateway
    return {
        "auth": gateway.auth_url,
        "tasks": gateway.tasks_url,
        "notifications": gateway.notifications_url,
        "attachments": gateway.attachments_url,
    }
