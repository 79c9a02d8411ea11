"""Who a request is from, once that is known."""

import ipaddress
from dataclasses import dataclass, field

from chassis.tokens import AccessToken

from gateway.errors import AddressNotAllowed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified token with the identity header that was signed for it; `counted_as` is the key of its user's limit.

    An API token also has `marks_seen`, the last revocation mark that was known when it was asked for, and `networks`,
    the only ones that it may be used from, if it is bound to some.
    """

    token: AccessToken
    verified_at: float
    identity: str
    marks_seen: int | None = None
    networks: tuple[Network, ...] | None = None
    counted_as: str = field(init=False)

    def __post_init__(self) -> None:
        # Once for each token and not for each request: an UUID is costly to spell.
        object.__setattr__(self, "counted_as", f"user:{self.token.principal.user_id}")

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
