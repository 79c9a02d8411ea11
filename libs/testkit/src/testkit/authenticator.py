"""A software authenticator and the browser around it, which can be told to lie."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN, RP_ID = "http://localhost:8080", "localhost"
UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One passkey. What is set here is what it says of itself."""

    algorithm: str = "ES256"
    origin: str = ORIGIN
    rp_id: str = RP_ID
    flags: int = UP | UV
    counter: int = 0
    counts: bool = False
    cross_origin: Any = False
    user_handle: bytes | None = None
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def __post_init__(self) -> None:
        self._key: Any = (
            Ed25519PrivateKey.generate() if self.algorithm == "EdDSA" else generate_private_key(SECP256R1())
        )

    def create(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        """Answer `navigator.credentials.create()`."""
        self.user_handle = decode(options["user"]["id"])
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + self._cose()
        data = self._data(self.flags | AT) + attested
        attestation = {"fmt": "none", "attStmt": {}, "authData": data, **lies.pop("attestation", {})}
        response = {
            "clientDataJSON": self._client_data("webauthn.create", options, lies),
            "attestationObject": encode(cbor2.dumps(attestation)),
            "transports": ["internal", "hybrid"],
        }
        return self._credential(response, lies)

    def get(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        """Answer `navigator.credentials.get()`."""
        if self.counts:
            self.counter += 1
        client_data = self._client_data("webauthn.get", options, lies)
        data = self._data(self.flags)
        signature = self._sign(data + hashlib.sha256(decode(client_data)).digest())
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": encode(data),
            "signature": encode(signature),
            "userHandle": encode(self.user_handle or b""),
        }
        return self._credential(response, lies)

    def _credential(self, response: dict[str, Any], lies: dict[str, Any]) -> dict[str, Any]:
        identifier = encode(self.credential_id)
        return {
            "id": identifier,
            "rawId": identifier,
            "type": "public-key",
            "response": {**response, **lies.pop("response", {})},
            "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
            **lies,
        }

    def _client_data(self, kind: str, options: dict[str, Any], lies: dict[str, Any]) -> str:
        data = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        data |= {"crossOrigin": self.cross_origin, **lies.pop("client_data", {})}
        return encode(json.dumps(data).encode())

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _cose(self) -> bytes:
        if self.algorithm == "EdDSA":
            return cbor2.dumps({1: 1, 3: -8, -1: 6, -2: self._key.public_key().public_bytes_raw()})
        numbers = self._key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def _sign(self, data: bytes) -> bytes:
        made: bytes = self._key.sign(data, *([] if self.algorithm == "EdDSA" else [ECDSA(hashes.SHA256())]))
        return made
