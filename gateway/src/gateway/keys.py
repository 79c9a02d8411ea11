"""The public keys of access tokens, fetched from the auth service (R3)."""

import asyncio
import base64
from contextlib import suppress

import aiohttp
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel

log = structlog.get_logger()

REFRESH_SECONDS = 60.0
RETRY_SECONDS = 1.0
UNKNOWN_KID_SECONDS = 10.0
TROUBLE = (aiohttp.ClientError, TimeoutError, ValueError)


class Key(BaseModel):
    """One entry of a key set (RFC 7517); others than Ed25519 keys are not ours."""

    kid: str = ""
    crv: str = ""
    x: str = ""


class KeySet(BaseModel):
    keys: list[Key]


class PublishedKeys:
    """The key set, refreshed in the background; an unknown key id hurries it, at most every ten seconds."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._hurried_at = float("-inf")
        self._fetching = asyncio.Lock()

    def get(self, kid: str) -> Ed25519PublicKey | None:
        """Return the key of an id."""
        return self._keys.get(kid)

    async def fetch_for(self, kid: str) -> None:
        """Fetch the set anew for an id that is not in it, unless that was just done; wait if it is being done."""
        if kid in self._keys:
            return
        async with self._fetching:
            now = asyncio.get_running_loop().time()
            if kid in self._keys or now - self._hurried_at < UNKNOWN_KID_SECONDS:
                return
            self._hurried_at = now
            with suppress(*TROUBLE):
                await self._fetch()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the set fresh until `stop` is set."""
        while not stop.is_set():
            pause = REFRESH_SECONDS
            try:
                await self._fetch()
            except TROUBLE as error:
                log.warning("keys.unavailable", reason=type(error).__name__)
                pause = REFRESH_SECONDS if self._keys else RETRY_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def _fetch(self) -> None:
        timeout = aiohttp.ClientTimeout(total=3)
        async with self._session.get(self._url, timeout=timeout, allow_redirects=False) as response:
            response.raise_for_status()
            published = KeySet.model_validate_json(await response.read())
        self._keys = {key.kid: _public_key(key.x) for key in published.keys if key.kid and key.crv == "Ed25519"}


def _public_key(x: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))
