"""What DNS says of a name, asked without a thread: a server that hangs must not keep others from being asked."""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

import aiodns
from aiodns.error import DNSError

from chassis.egress.addresses import Address

SECONDS = 2.0
TRIES = 2


class Unresolved(Exception):
    """There is no such name, or nobody says."""


class Resolver(Protocol):
    """Returns all addresses of a name. Raises Unresolved."""

    async def __call__(self, host: str, /) -> Sequence[Address]: ...


class DnsResolver:
    """Asks the servers of this machine (or those in `options`, as aiodns takes them), after its hosts file."""

    def __init__(self, **options: object) -> None:
        self._options = {"timeout": SECONDS, "tries": TRIES, **options}
        self._found: aiodns.DNSResolver | None = None

    async def __call__(self, host: str) -> Sequence[Address]:
        """Return all addresses of a name. Raises Unresolved."""
        if self._found is None:
            self._found = aiodns.DNSResolver(**self._options)  # type: ignore[arg-type] # any of its options
        try:
            answer = await self._found.getaddrinfo(host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except DNSError as error:
            raise Unresolved(f"dns_{error.args[0]}") from None
        addresses = [ip_address(_text(node.addr[0])) for node in answer.nodes]
        if not addresses:
            raise Unresolved("dns_empty")
        return list(dict.fromkeys(addresses))

    async def close(self) -> None:
        """Forget the servers."""
        if self._found is not None:
            await self._found.close()
            self._found = None


def _text(address: bytes | str) -> str:
    return address.decode() if isinstance(address, bytes) else address
