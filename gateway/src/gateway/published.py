"""What the services say of themselves, put together."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import aiohttp
import structlog

log = structlog.get_logger()

Document = dict[str, Any]
Merged = TypeVar("Merged")

CACHE_SECONDS = 30.0
DOCUMENT_SECONDS = 10
"""A service makes its document when it is asked for first: a second on an idle machine, several on a busy one."""
RETRY_SECONDS = 2.0


class Published(Generic[Merged]):
    """The services' documents at a path, fetched when asked for and kept for 30 seconds.

    The last good ones outlive an outage. `merge` makes one of them all; what the gateway has itself is in `own`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        upstreams: Mapping[str, str],
        path: str,
        *,
        merge: Callable[[Mapping[str, Document]], Merged],
        own: Mapping[str, Document],
    ) -> None:
        self._session = session
        self._upstreams = upstreams
        self._path = path
        self._merge = merge
        self._documents = dict(own)
        self._whole = len(own) + len(upstreams)
        self._merged = merge(self._documents)
        self._fetch_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def merged(self) -> Merged:
        """Return what is made of all documents that are known."""
        async with self._fetching:
            now = asyncio.get_running_loop().time()
            if now >= self._fetch_at:
                await self._fetch_all()
                complete = len(self._documents) == self._whole
                self._fetch_at = now + (CACHE_SECONDS if complete else RETRY_SECONDS)
        return self._merged

    async def _fetch_all(self) -> None:
        names = list(self._upstreams)
        fetched = await asyncio.gather(*(self._fetch(name, self._upstreams[name]) for name in names))
        changed = {name: found for name, found in zip(names, fetched, strict=True) if found is not None}
        if any(self._documents.get(name) != found for name, found in changed.items()):
            self._documents.update(changed)
            self._merged = self._merge(self._documents)

    async def _fetch(self, name: str, url: str) -> Document | None:
        try:
            timeout = aiohttp.ClientTimeout(total=DOCUMENT_SECONDS)
            address = f"{url.rstrip('/')}{self._path}"
            async with self._session.get(address, timeout=timeout, allow_redirects=False) as response:
                response.raise_for_status()
                found: Document = await response.json(content_type=None)
            if found != self._documents.get(name):
                # One that can't be merged is as good as none.
                self._merge({name: found})
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("document.unavailable", upstream=name, path=self._path, reason=type(error).__name__)
            return None
        return found
