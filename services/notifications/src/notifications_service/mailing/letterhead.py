"""What all mails of an installation have in common."""

from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.policy import SMTP

EXPECTED_SENDER = "expected Name <name@domain>"


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What every mail has of this installation: its sender, the API's address, and what links begin with.

    Without `invitations_url`, which is for links of invitations, those lead to the API itself.
    """

    sender: Address
    api_url: str
    links_url: str
    invitations_url: str | None = None


def parse_sender(text: str) -> Address:
    """Read `Name <local@domain>` or an address alone. Raises ValueError for anything else, and for several."""
    try:
        header = SMTP.header_factory("from", text)
        (found,) = header.addresses
        address = Address(found.display_name, addr_spec=found.addr_spec)
    except (ValueError, IndexError, AttributeError, MessageError):
        raise ValueError(EXPECTED_SENDER) from None
    if header.defects or not text.isprintable() or not address.domain or not address.addr_spec.isascii():
        raise ValueError(EXPECTED_SENDER)
    return address
