"""Who sends pushes in the name of an app: what Google and Apple give its developer."""

from dataclasses import dataclass, field
from typing import Self

import orjson
from cryptography.hazmat.primitives.serialization import load_pem_private_key

GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"
EXPECTED_ACCOUNT = "expected the JSON of a service account's key, with project_id, client_email and private_key"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account of Google's that may send by FCM."""

    project_id: str
    client_email: str
    private_key: str = field(repr=False)
    token_uri: str = GOOGLE_TOKENS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the JSON of a key. Raises ValueError."""
        try:
            found = orjson.loads(text)
            account = cls(
                found["project_id"],
                found["client_email"],
                found["private_key"],
                found.get("token_uri", GOOGLE_TOKENS),
            )
            load_pem_private_key(account.private_key.encode(), None)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(EXPECTED_ACCOUNT) from None
        return account


@dataclass(frozen=True, slots=True)
class ApnsAccount:
    """A key of Apple's for one app, whose bundle id is the topic."""

    key_id: str
    team_id: str
    topic: str
    key: str = field(repr=False)
    sandbox: bool = False
