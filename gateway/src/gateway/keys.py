"""The public keys of access tokens, fetched from the auth service (R3)."""

import asyncio
import base64
from contextlib import suppress

import aiohttp
import structlog
from chassis.tokens import ALGORITHM
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel

from gateway.errors import AuthStateUnavailable

log = structlog.get_logger()

REFRESH_SECONDS = 60.0
RETRY_SECONDS = 1.0
UNKNOWN_KID_SECONDS = 10.0
TROUBLE = (aiohttp.ClientError, TimeoutError, ValueError)


class Key(BaseModel):
    """One entry of a key set (RFC 7517); only Ed25519 keys that verify signatures are ours."""

    kid: str = ""
    kty: str = ""
    crv: str = ""
    alg: str = ALGORITHM
    use: str = "sig"
    key_ops: list[str] = ["verify"]
    x: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether tokens may be verified with it (RFC 7517, section 4; RFC 8037, section 2)."""
        kind = self.kty, self.crv, self.alg, self.use
        return bool(self.kid) and kind == ("OKP", "Ed25519", ALGORITHM, "sig") and "verify" in self.key_ops


class KeySet(BaseModel):
    keys: list[Key]


class PublishedKeys:
    """The key set, refreshed in the background; an unknown key id hurries it.

    Looking for one in vain is done at most every ten seconds, since anybody can invent ids. What was found sets no such
    limit: keys that follow each other quickly are all found at their first use.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._is_current = False
        """Whether the last fetch went well."""
        self._sought_in_vain_at = float("-inf")
        self._fetching = asyncio.Lock()

    @property
    def are_known(self) -> bool:
        """Whether there was ever a key set."""
        return bool(self._keys)

    def get(self, kid: str) -> Ed25519PublicKey | None:
        """Return the key of an id."""
        return self._keys.get(kid)

    async def fetch_for(self, kid: str) -> None:
        """Fetch the set anew for an id that is not in it, unless that was just done; wait if it is being done.

        Raises AuthStateUnavailable when it can't be told whether the id is one of ours.
        """
        if kid in self._keys:
            return
        async with self._fetching:
            now = asyncio.get_running_loop().time()
            if kid not in self._keys and now - self._sought_in_vain_at >= UNKNOWN_KID_SECONDS:
                await self._refresh()
                if kid not in self._keys:
                    self._sought_in_vain_at = now
        if kid not in self._keys and not self._is_current:
            raise AuthStateUnavailable(retry_after=2, log_detail="no current key set")

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the set fresh until `stop` is set."""
        while not stop.is_set():
            await self._refresh()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REFRESH_SECONDS if self._keys else RETRY_SECONDS)

    async def _refresh(self) -> None:
        """Fetch the set; in trouble keep what is known."""
        try:
            self._keys = await self._fetch()
        except TROUBLE as error:
            log.warning("keys.unavailable", reason=type(error).__name__)
            self._is_current = False
        else:
            self._is_current = True

    async def _fetch(self) -> dict[str, Ed25519PublicKey]:
        timeout = aiohttp.ClientTimeout(total=3)
        async with self._session.get(self._url, timeout=timeout, allow_redirects=False) as response:
            response.raise_for_status()
            published = KeySet.model_validate_json(await response.read())
        keys = {key.kid: _public_key(key.x) for key in published.keys if key.is_ours}
        if not keys:
            raise ValueError("a key set without a key of ours")
        return keys


def _public_key(x: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))
