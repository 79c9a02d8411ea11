"""Who a request is from, once that is known."""

import ipaddress
from dataclasses import dataclass

from chassis.tokens import AccessToken

from gateway.errors import AddressNotAllowed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified token with the identity header that was signed for it.

    An API token also has `marks_seen`, the last revocation mark that was known when it was asked for, and `networks`,
    the only ones that it may be used from, if it is bound to some.
    """

    token: AccessToken
    verified_at: float
    identity: str
    marks_seen: int | None = None
    networks: tuple[Network, ...] | None = None

    def check_address(self, client: str) -> None:
        """Raise AddressNotAllowed when the token may not be used from this address."""
        if self.networks is None:
            return
        try:
            address = ipaddress.ip_address(client.partition("%")[0])
        except ValueError:
            raise AddressNotAllowed(log_detail="a client without an address") from None
        if not any(address in network for network in self.networks):
            raise AddressNotAllowed
