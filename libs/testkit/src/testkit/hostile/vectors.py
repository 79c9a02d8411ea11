"""All hostile Authorization fields, each under the name of what it comes from."""

from testkit.hostile.claims import CLAIMS, VERSIONS
from testkit.hostile.encodings import ENCODINGS
from testkit.hostile.fields import FIELDS, TOKENS, TOO_LONG, Field, bearer
from testkit.hostile.forger import Forger, Make
from testkit.hostile.headers import HEADERS
from testkit.hostile.signatures import SIGNATURES

GROUPS: tuple[dict[str, Make], ...] = (CLAIMS, ENCODINGS, HEADERS, SIGNATURES, TOKENS)
ACCESS_TOKENS_ONLY = frozenset({"RFC 7519 4.1.5 nbf: missing", "RFC 6750 2.1 laid out as '{t}'", *VERSIONS, *TOO_LONG})
"""What an identity header rightly is: it stands alone, has no `nbf` and no `ver`, and may be twice as long."""


def _field(make: Make) -> Field:
    return Field(lambda f: bearer(make(f)))


HOSTILE: dict[str, Field] = {
    **{name: _field(make) for group in GROUPS for name, make in group.items()},
    **FIELDS,
}


def values(forger: Forger) -> dict[str, bytes]:
    """Return every field as bytes, by its name."""
    return {name: field.value(forger) for name, field in HOSTILE.items()}
