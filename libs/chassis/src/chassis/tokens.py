"""Tokens that cross a trust boundary: users' access tokens (R1, R2) and the gateway's identity header (R21).

Both are JWTs (RFC 7519) with EdDSA over Ed25519 (RFC 8037), told apart by `typ`, so that neither is ever
taken for the other.
"""

import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from chassis.identity import CallerKind, Principal, Via

ALGORITHM = "EdDSA"
MAX_TOKEN_CHARACTERS = 4096
MAX_IDENTITY_CHARACTERS = 8192
"""An API token may be bound to a hundred projects, all of which the identity names."""
LEEWAY_SECONDS = 30

ACCESS_TYPE = "at+jwt"
TOKEN_VERSION = 1
"""The claim `ver` of access tokens (R1): what their claims mean. One that says something else is not understood."""

IDENTITY_TYPE = "taskloom-identity+jwt"
IDENTITY_ISSUER = "taskloom-gateway"
IDENTITY_AUDIENCE = "taskloom-internal"
IDENTITY_SECONDS = 60
VIAS: tuple[Via, ...] = get_args(Via)

ALLOWED_HEADER_FIELDS = frozenset({"alg", "typ", "kid"})
REQUIRED_CLAIMS = ("exp", "iat", "sub", "jti", "sid", "iss", "aud")
COMPACT_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""Three parts without padding (RFC 7515, section 7.1): no token has a second spelling."""


class TokenError(Exception):
    """A token that proves nothing; the reason is for the log only."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified access token says; instants in seconds since the epoch."""

    principal: Principal
    token_id: str
    issued_at: int
    expires_at: int


class AccessTokenVerifier:
    """Verifies users' access tokens against the published keys.

    `key_of` gives the public key of a `kid`, or None. `max_lifetime` is the longest accepted `exp - iat`
    in seconds.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        max_lifetime: int,
        key_of: Callable[[str], Ed25519PublicKey | None],
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._max_lifetime = max_lifetime
        self._key_of = key_of

    def verify(self, token: str) -> AccessToken:
        """Return what the token says. Raises TokenError for whatever is not a token of ours in force now."""
        key = self._key_of(key_id(token, ACCESS_TYPE))
        if key is None:
            raise TokenError("unknown kid")
        claims = _decode(token, key, issuer=self._issuer, audience=self._audience, required=("nbf",))
        if claims["exp"] - claims["iat"] > self._max_lifetime:
            raise TokenError("lives longer than allowed")
        if type(claims.get("ver")) is not int or claims["ver"] != TOKEN_VERSION:
            raise TokenError("another version")
        principal = _principal(claims)
        return AccessToken(principal, str(claims["jti"]), int(claims["iat"]), int(claims["exp"]))


def key_id(token: str, expected_type: str) -> str:
    """Return the `kid` of a token's header, refusing oversized tokens and headers that are not ours."""
    if len(token) > (MAX_IDENTITY_CHARACTERS if expected_type == IDENTITY_TYPE else MAX_TOKEN_CHARACTERS):
        raise TokenError("too long")
    if not COMPACT_FORM.fullmatch(token):
        raise TokenError("not a JWT")
    header = _object(token.partition(".")[0])
    if header.get("alg") != ALGORITHM or header.get("typ") != expected_type:
        raise TokenError("another algorithm or type")
    if set(header) - ALLOWED_HEADER_FIELDS or not isinstance(header.get("kid"), str):
        raise TokenError("header fields that are not ours")
    return str(header["kid"])


class IdentitySigner:
    """Makes the identity header; only the gateway has the key."""

    KEY_ID = "gateway"

    def __init__(self, private_key_pem: str) -> None:
        key = load_pem_private_key(normalize_pem(private_key_pem), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("expected an Ed25519 private key in PEM")  # noqa: TRY004 - a bad value, not a bug
        self._key = key

    def sign(self, principal: Principal, *, now: datetime) -> str:
        """Return an identity that is valid for 60 seconds from `now`."""
        issued = int(now.timestamp())
        claims: dict[str, Any] = {
            "iss": IDENTITY_ISSUER,
            "aud": IDENTITY_AUDIENCE,
            "sub": str(principal.user_id),
            "sid": str(principal.session_id),
            "jti": str(principal.session_id),
            "roles": sorted(principal.roles),
            "scope": " ".join(sorted(principal.scopes)),
            "kind": principal.kind,
            **_bounds(principal),
            "iat": issued,
            "exp": issued + IDENTITY_SECONDS,
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"typ": IDENTITY_TYPE, "kid": self.KEY_ID})


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """A caller that the gateway vouched for, until `expires_at` (seconds since the epoch)."""

    principal: Principal
    expires_at: int


class IdentityVerifier:
    """Verifies the identity header with the gateway's public key."""

    def __init__(self, public_key_pem: str) -> None:
        key = load_pem_public_key(normalize_pem(public_key_pem))
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("expected an Ed25519 public key in PEM")  # noqa: TRY004 - a bad value, not a bug
        self._key = key

    def verify(self, token: str) -> VerifiedIdentity:
        """Return whom the header names. Raises TokenError."""
        if key_id(token, IDENTITY_TYPE) != IdentitySigner.KEY_ID:
            raise TokenError("unknown kid")
        claims = _decode(token, self._key, issuer=IDENTITY_ISSUER, audience=IDENTITY_AUDIENCE)
        if claims["exp"] - claims["iat"] > IDENTITY_SECONDS:
            raise TokenError("lives longer than allowed")
        return VerifiedIdentity(_vouched_for(claims), int(claims["exp"]))


def normalize_pem(text: str) -> bytes:
    """Accept a PEM whose line ends came through an environment variable as the two characters backslash and n."""
    return text.replace("\\n", "\n").encode()


def _decode(
    token: str, key: Ed25519PublicKey, *, issuer: str, audience: str, required: Sequence[str] = ()
) -> dict[str, Any]:
    try:
        jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=issuer,
            audience=audience,
            leeway=LEEWAY_SECONDS,
            options={"require": [*REQUIRED_CLAIMS, *required], "strict_aud": True},
        )
    except Exception as error:  # R2: whatever goes wrong in verification is a refusal, never a 500
        raise TokenError(type(error).__name__) from error
    claims = _object(token.split(".")[1])
    _check_instants(claims)
    _check_form(claims)
    return claims


def _object(part: str) -> dict[str, Any]:
    """Read a part of a token as other readers do too: UTF-8, no name twice, no NaN (RFC 8725, sections 2.4 and 3.7)."""
    try:
        text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise TokenError("not JSON") from error
    if not isinstance(found, dict):
        raise TokenError("not an object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _check_instants(claims: dict[str, Any]) -> None:
    """Refuse what a NumericDate may be and ours never is: a fraction, a text, before 1970, an end before the start."""
    instants = [claims[name] for name in ("iat", "nbf", "exp") if name in claims]
    if any(type(instant) is not int or instant < 0 for instant in instants):
        raise TokenError("instants that are not whole seconds")
    if max(instants[:-1]) >= claims["exp"]:
        raise TokenError("ends before it begins")


def _check_form(claims: dict[str, Any]) -> None:
    """Refuse ids that are not in their one form, and roles and scopes that are not texts."""
    roles = claims.get("roles", [])
    texts = [claims.get("scope", ""), *(roles if isinstance(roles, list) else [None])]
    ids = [claims[name] for name in ("sub", "sid", "jti")]
    if not all(isinstance(text, str) and text.isascii() for text in texts) or not all(map(_is_plain_id, ids)):
        raise TokenError("claims of the wrong form")


def _is_plain_id(value: Any) -> bool:
    """Tell whether it is a UUID as we write them; the library takes braces, `urn:uuid:` and digits of any script."""
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


def _bounds(principal: Principal) -> dict[str, Any]:
    """Return the claims that only API tokens have."""
    if principal.is_session:
        return {}
    claims: dict[str, Any] = {"via": principal.via, "ro": principal.read_only}
    if principal.workspace_id is not None:
        claims["ws"] = str(principal.workspace_id)
    if principal.project_ids is not None:
        claims["pr"] = sorted(str(project) for project in principal.project_ids)
    if principal.expires_at is not None:
        claims["end"] = int(principal.expires_at.timestamp())
    return claims


def _principal(claims: dict[str, Any]) -> Principal:
    """Return what claims of the right form say of a session's user."""
    return Principal(
        user_id=UUID(claims["sub"]),
        session_id=UUID(claims["sid"]),
        roles=frozenset(claims.get("roles", ())),
        scopes=frozenset(claims.get("scope", "").split()),
    )


def _vouched_for(claims: dict[str, Any]) -> Principal:
    """Return whom the gateway names, with the bounds of an API token."""
    caller = _principal(claims)
    kind: CallerKind = "service" if claims.get("kind") == "service" else "user"
    via = claims.get("via", "session")
    if via not in VIAS:
        raise TokenError("a credential of an unknown sort")
    try:
        workspace, projects, end = (claims.get(name) for name in ("ws", "pr", "end"))
        return replace(
            caller,
            kind=kind,
            via=via,
            workspace_id=None if workspace is None else UUID(workspace),
            project_ids=None if projects is None else frozenset(UUID(project) for project in projects),
            read_only=bool(claims.get("ro", False)),
            expires_at=None if end is None else datetime.fromtimestamp(end, UTC),
        )
    except (TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise TokenError("claims of the wrong form") from error
