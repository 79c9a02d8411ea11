"""Callers for tests: a gateway's key pair, and identity headers signed with it."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.tokens import IdentitySigner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass
class TestGateway:
    """Signs identity headers as the gateway does; services under test get `verify_key`."""

    __test__ = False

    private_key: str = ""
    verify_key: str = ""
    _signer: IdentitySigner = field(init=False)

    def __post_init__(self) -> None:
        key = Ed25519PrivateKey.generate()
        self.private_key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        self.verify_key = (
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        self._signer = IdentitySigner(self.private_key)

    def headers(self, user_id: UUID, *, session_id: UUID | None = None, roles: Collection[str] = ()) -> dict[str, str]:
        """Return what the gateway adds to requests of a user."""
        principal = Principal(user_id, session_id or uuid7(), roles=frozenset(roles))
        return {"x-taskloom-identity": self._signer.sign(principal, now=utcnow())}

    def token_headers(
        self,
        user_id: UUID,
        *scopes: str,
        token_id: UUID | None = None,
        bot: bool = False,
        workspace_id: UUID | None = None,
        project_ids: Collection[UUID] | None = None,
        read_only: bool = False,
        roles: Collection[str] = (),
        expires_at: datetime | None = None,
    ) -> dict[str, str]:
        """Return what the gateway adds to requests with an API token of a user, or of a service account (`bot`)."""
        principal = Principal(
            user_id,
            token_id or uuid7(),
            roles=frozenset(roles),
            scopes=frozenset(scopes),
            via="bot" if bot else "token",
            workspace_id=workspace_id,
            project_ids=None if project_ids is None else frozenset(project_ids),
            read_only=read_only,
            expires_at=expires_at,
        )
        return {"x-taskloom-identity": self._signer.sign(principal, now=utcnow())}

    def service_headers(self) -> dict[str, str]:
        """Return what the gateway sends for itself."""
        nobody = UUID(int=0)
        return {"x-taskloom-identity": self._signer.sign(Principal(nobody, nobody, kind="service"), now=utcnow())}
