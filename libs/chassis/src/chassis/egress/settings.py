"""Where requests to URLs that users choose may go."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from chassis.egress.addresses import Network
from chassis.egress.rules import MAX_PORT, EgressRules
from chassis.settings import CommaSeparated, SettingsError, SettingsGroup

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

EXPECTED_PORTS = "expected ports or ranges of them, such as 443 or 8000-8999"


def _network(text: str) -> Network:
    return ip_network(text)


def _ports(text: str) -> range:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise ValueError(EXPECTED_PORTS)
    found = range(int(first), int(last or first) + 1)
    if not found or found.start < 1 or found.stop > MAX_PORT + 1:
        raise ValueError(EXPECTED_PORTS)
    return found


def _checked_networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for one in values:
        _network(one)
    return values


def _checked_ports(values: tuple[str, ...]) -> tuple[str, ...]:
    for one in values:
        _ports(one)
    return values


class EgressSettings(SettingsGroup):
    """What is allowed beyond https to port 443 of the public internet."""

    allowed_networks: Annotated[CommaSeparated, AfterValidator(_checked_networks)] = Field(
        default=(),
        validation_alias="EGRESS_ALLOWED_NETWORKS",
        description=(
            "Networks beside the public internet that URLs of users may lead to (CIDR, several separated by commas). "
            "In production without loopback; link-local addresses and those of a cloud's metadata are never allowed."
        ),
        examples=["10.20.0.0/16,fd12:3456::/32"],
    )
    allowed_ports: Annotated[CommaSeparated, AfterValidator(_checked_ports)] = Field(
        default=("443",),
        validation_alias="EGRESS_ALLOWED_PORTS",
        description="Ports that URLs of users may lead to: single ones, or ranges.",
        examples=["443,8000-8999"],
    )
    allow_http: bool = Field(
        default=False,
        validation_alias="EGRESS_ALLOW_HTTP",
        description="Whether URLs of users may begin with http://, too.",
    )

    def rules(self, *, production: bool) -> EgressRules:
        """Return what is allowed. Raises SettingsError where that is this machine itself, in production."""
        networks = tuple(map(_network, self.allowed_networks))
        if production and any(one.overlaps(own) for one in networks for own in LOOPBACK if one.version == own.version):
            raise SettingsError("EGRESS_ALLOWED_NETWORKS: loopback can't be allowed in production.")
        return EgressRules(networks, tuple(map(_ports, self.allowed_ports)), self.allow_http)
