from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from chassis.patching import NotNull, without_default
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from auth_service.users.schemas import DisplayName

BASE64URL = r"^[A-Za-z0-9_-]+$"
CredentialId = Annotated[str, StringConstraints(max_length=1364, pattern=BASE64URL)]
Bytes = Annotated[str, StringConstraints(max_length=16_384, pattern=BASE64URL)]
Transport = Annotated[str, StringConstraints(max_length=16, pattern=r"^[a-z-]+$")]


EXAMPLE_ID = "0199d3b2-5e05-7d00-8a11-6f3e5b9c2d77"
NEW_EXAMPLE: dict[str, Any] = {
    "id": "mK3uT0pXq1aZ",
    "rawId": "mK3uT0pXq1aZ",
    "type": "public-key",
    "authenticatorAttachment": "platform",
    "clientExtensionResults": {},
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0",
        "attestationObject": "o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YUA",
        "transports": ["internal", "hybrid"],
    },
}
USED_EXAMPLE: dict[str, Any] = {
    "id": "mK3uT0pXq1aZ",
    "rawId": "mK3uT0pXq1aZ",
    "type": "public-key",
    "authenticatorAttachment": "platform",
    "clientExtensionResults": {},
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0",
        "authenticatorData": "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAAAQ",
        "signature": "MEUCIQDx0pXq1aZmK3uT",
        "userHandle": "AZnTsl4Aew",
    },
}


class _Credential(BaseModel):
    """What a browser gives (`PublicKeyCredential.toJSON()`), in base64url."""

    model_config = ConfigDict(extra="forbid")

    id: CredentialId
    raw_id: CredentialId = Field(alias="rawId")
    type: Literal["public-key"]
    attachment: str | None = Field(default=None, alias="authenticatorAttachment", max_length=32)
    extensions: dict[str, Any] = Field(default_factory=dict, alias="clientExtensionResults")


class AttestationResponse(BaseModel):
    """What an authenticator says of a new passkey. What it repeats of its attestation object is not read."""

    model_config = ConfigDict(extra="forbid")

    client_data: Bytes = Field(alias="clientDataJSON")
    attestation_object: Bytes = Field(alias="attestationObject")
    transports: list[Transport] = Field(default_factory=list, max_length=8)
    authenticator_data: Bytes | None = Field(default=None, alias="authenticatorData")
    public_key: Bytes | None = Field(default=None, alias="publicKey")
    algorithm: StrictInt | None = Field(default=None, alias="publicKeyAlgorithm")


class AssertionResponse(BaseModel):
    """What an authenticator says of a passkey that is used."""

    model_config = ConfigDict(extra="forbid")

    client_data: Bytes = Field(alias="clientDataJSON")
    authenticator_data: Bytes = Field(alias="authenticatorData")
    signature: Bytes
    user_handle: Annotated[str, StringConstraints(max_length=128, pattern=BASE64URL)] | None = Field(
        default=None, alias="userHandle"
    )


class NewPasskey(_Credential):
    """A new passkey."""

    response: AttestationResponse


class UsedPasskey(_Credential):
    """A passkey that is used."""

    response: AssertionResponse


class PasskeyRegistration(BaseModel):
    """A new passkey, in answer to a challenge, and what its owner calls it."""

    model_config = ConfigDict(extra="forbid")

    challenge_id: UUID = Field(description="From the options.", examples=[EXAMPLE_ID])
    credential: NewPasskey = Field(description="What the browser made.", examples=[NEW_EXAMPLE])
    name: DisplayName = Field(default="Passkey", examples=["My phone"])


class PasskeyLogin(BaseModel):
    """A passkey in answer to a challenge."""

    model_config = ConfigDict(extra="forbid")

    challenge_id: UUID = Field(description="From the options.", examples=[EXAMPLE_ID])
    credential: UsedPasskey = Field(description="What the browser made.", examples=[USED_EXAMPLE])


class NothingMore(BaseModel):
    """No account is named: the authenticator knows whose passkeys it has."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})


class PasskeyPatch(BaseModel):
    """A JSON merge patch of a passkey."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "My phone"}]})

    name: Annotated[DisplayName, NotNull] = Field(default="", json_schema_extra=without_default)


class ChallengeOut(BaseModel):
    """Options for `navigator.credentials`, as its `parse...OptionsFromJSON` take them."""

    challenge_id: UUID
    public_key: dict[str, Any]
    expires_at: datetime


class PasskeyOut(BaseModel):
    """A passkey of the caller."""

    id: UUID
    name: str
    transports: list[str]
    backup_eligible: bool = Field(description="Whether it may be copied to other devices of its owner.")
    backed_up: bool = Field(description="Whether it has been.")
    created_at: datetime
    last_used_at: datetime | None


PASSKEY_EXAMPLE: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "name": "My phone",
    "transports": ["internal", "hybrid"],
    "backup_eligible": True,
    "backed_up": True,
    "created_at": "2026-11-24T09:00:00Z",
    "last_used_at": None,
}
_CHALLENGE = "uZ4bq9yH0nC3p2s5v8y-B_EuZ4bq9yH0nC3p2s5v8yA"
REQUEST_EXAMPLE: dict[str, Any] = {
    "challenge_id": EXAMPLE_ID,
    "public_key": {
        "challenge": _CHALLENGE,
        "timeout": 300_000,
        "rpId": "tasks.example.com",
        "allowCredentials": [],
        "userVerification": "required",
    },
    "expires_at": "2026-11-24T09:05:00Z",
}
CREATION_EXAMPLE: dict[str, Any] = {
    "challenge_id": EXAMPLE_ID,
    "public_key": {
        "rp": {"name": "Taskloom", "id": "tasks.example.com"},
        "user": {"id": "AZnTsl4Aew", "name": "ada@example.com", "displayName": "Ada"},
        "challenge": _CHALLENGE,
        "pubKeyCredParams": [{"type": "public-key", "alg": -8}, {"type": "public-key", "alg": -7}],
        "timeout": 300_000,
        "excludeCredentials": [],
        "authenticatorSelection": {"residentKey": "preferred", "userVerification": "preferred"},
        "attestation": "none",
    },
    "expires_at": "2026-11-24T09:05:00Z",
}
