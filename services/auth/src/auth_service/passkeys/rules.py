"""What a relying party checks of an authenticator's answer (WebAuthn, sections 7.1 and 7.2), without any I/O."""

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, options_to_json_dict, parse_client_data_json
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

Purpose = Literal["registration", "login", "second_factor", "step_up"]

NAME = "Taskloom"
LOCALHOST = "localhost"
CHALLENGE_BYTES = 32
CHALLENGE_LIFE = timedelta(minutes=5)
TIMEOUT = int(CHALLENGE_LIFE.total_seconds() * 1000)
MAX_PASSKEYS = 20
MAX_CREDENTIAL_ID = 1023
ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]


class Unverifiable(Exception):
    """An authenticator's answer is not what was asked for; the text is for the log."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks for passkeys: a domain, and the origins whose pages may do so in its name."""

    id: str
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential as an authenticator has just made it."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    backup_eligible: bool
    backed_up: bool


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator says of a credential when it is used."""

    sign_count: int
    backed_up: bool


def relying_party(base_url: str, *, rp_id: str | None = None, origins: tuple[str, ...] = ()) -> RelyingParty:
    """Return the relying party of an installation; what is not given is taken from where clients reach it.

    An address is no domain: it stands for `localhost`. Raises ValueError for origins that are not of the domain, which
    no browser would let use it.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or LOCALHOST
    domain = LOCALHOST if _is_address(host) else host
    port = f":{parts.port}" if parts.port else ""
    party = RelyingParty(rp_id or domain, origins or (f"{parts.scheme}://{domain}{port}",))
    for origin in party.origins:
        where = urlsplit(origin).hostname or ""
        if origin.startswith("http") and where != party.id and not where.endswith(f".{party.id}"):
            raise ValueError(f"{origin} is not of {party.id}: no browser would use a passkey there")
    return party


def new_challenge() -> bytes:
    """Return what an authenticator has to sign."""
    return secrets.token_bytes(CHALLENGE_BYTES)


def user_handle(user_id: UUID) -> bytes:
    """Return by what an authenticator knows an account: nothing that tells who it is."""
    return user_id.bytes


def registration_options(
    party: RelyingParty, *, user_id: UUID, name: str, display_name: str, challenge: bytes, known: list[bytes]
) -> dict[str, Any]:
    """Return the options of `navigator.credentials.create()`, as JSON."""
    options = generate_registration_options(
        rp_id=party.id,
        rp_name=NAME,
        user_id=user_handle(user_id),
        user_name=name,
        user_display_name=display_name,
        challenge=challenge,
        timeout=TIMEOUT,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        supported_pub_key_algs=ALGORITHMS,
    )
    return options_to_json_dict(options)


def assertion_options(
    party: RelyingParty, *, challenge: bytes, allowed: list[bytes], verify_user: bool
) -> dict[str, Any]:
    """Return the options of `navigator.credentials.get()`, as JSON; without `allowed` any passkey will do."""
    wanted = UserVerificationRequirement.REQUIRED if verify_user else UserVerificationRequirement.PREFERRED
    options = generate_authentication_options(
        rp_id=party.id,
        challenge=challenge,
        timeout=TIMEOUT,
        allow_credentials=[PublicKeyCredentialDescriptor(id=one) for one in allowed],
        user_verification=wanted,
    )
    return options_to_json_dict(options)


def verify_registration(party: RelyingParty, credential: dict[str, Any], *, challenge: bytes) -> NewCredential:
    """Return what an authenticator has made. Raises Unverifiable."""
    try:
        _refuse_frames(credential)
        verified = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            supported_pub_key_algs=ALGORITHMS,
        )
        _check_id(credential, verified.credential_id)
    except Exception as reason:  # CBOR and keys of strangers fail in many ways, none of which is our fault
        raise Unverifiable(f"{type(reason).__name__}: {reason}") from reason
    return NewCredential(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        backup_eligible=verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
        backed_up=verified.credential_backed_up,
    )


def verify_assertion(
    party: RelyingParty, credential: dict[str, Any], *, challenge: bytes, public_key: bytes, verify_user: bool
) -> Assertion:
    """Return what an authenticator says of a use. The counter is not judged here. Raises Unverifiable."""
    try:
        _refuse_frames(credential)
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=verify_user,
        )
    except Exception as reason:
        raise Unverifiable(f"{type(reason).__name__}: {reason}") from reason
    return Assertion(verified.new_sign_count, verified.credential_backed_up)


def _check_id(credential: dict[str, Any], attested: bytes) -> None:
    if base64url_to_bytes(credential["rawId"]) != attested:
        raise Unverifiable("rawId is not the id in the authenticator data")
    if len(attested) > MAX_CREDENTIAL_ID:
        raise Unverifiable("the credential id is too long")


def _refuse_frames(credential: dict[str, Any]) -> None:
    """Refuse what was made in a frame of another site, which could have been laid under somebody's click."""
    client_data = parse_client_data_json(base64url_to_bytes(credential["response"]["clientDataJSON"]))
    if client_data.cross_origin:
        raise Unverifiable("made across origins")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
