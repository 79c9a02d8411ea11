"""The public keys of access tokens, fetched from the auth service (R3)."""

import asyncio
import base64
from contextlib import suppress

import aiohttp
import structlog
from chassis.clock import utcnow
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

log = structlog.get_logger()

REFRESH_SECONDS = 60.0
RETRY_SECONDS = 1.0
UNKNOWN_KID_SECONDS = 10.0


class PublishedKeys:
    """The key set, refreshed in the background; an unknown key id hurries it, at most every ten seconds."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._hurry = asyncio.Event()
        self._hurried_at = 0.0

    def get(self, kid: str) -> Ed25519PublicKey | None:
        """Return the key of an id."""
        return self._keys.get(kid)

    async def fetch_for(self, kid: str) -> None:
        """Fetch the set anew for an id that is not in it, unless that was just done."""
        now = utcnow().timestamp()
        if kid in self._keys or now - self._hurried_at < UNKNOWN_KID_SECONDS:
            return
        self._hurried_at = now
        with suppress(aiohttp.ClientError, TimeoutError):
            await self._fetch()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the set fresh until `stop` is set."""
        while not stop.is_set():
            pause = REFRESH_SECONDS
            try:
                await self._fetch()
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                log.warning("keys.unavailable", reason=type(error).__name__)
                pause = REFRESH_SECONDS if self._keys else RETRY_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def _fetch(self) -> None:
        async with self._session.get(self._url, timeout=aiohttp.ClientTimeout(total=3)) as response:
            response.raise_for_status()
            document = await response.json(content_type=None)
        self._keys = {key["kid"]: _public_key(key["x"]) for key in document["keys"] if key.get("crv") == "Ed25519"}


def _public_key(x: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))
