from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from auth_service.second_factors.rules import FactorMethod


class TotpConfirmation(BaseModel):
    """A first code of the new generator."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=64, examples=["123456"])


class TotpSetupOut(BaseModel):
    """What an authenticator app needs; it counts once a first code is confirmed, until `expires_at`.

    The secret is told this once; it is null in the replay of an idempotency key.
    """

    secret: str | None
    otpauth_uri: str | None = Field(description="For a QR code.")
    expires_at: datetime


class RecoveryCodesOut(BaseModel):
    """Codes that work once each in place of a second factor, told this once; null in the replay of a key."""

    recovery_codes: list[str] | None


class MfaOut(BaseModel):
    """The second factors of an account."""

    enabled: bool = Field(description="Whether a login needs a second factor.")
    totp: bool
    totp_confirmed_at: datetime | None
    passkeys: int
    recovery_codes_left: int
    methods: list[FactorMethod] = Field(description="What a login may be completed with.")


SETUP_EXAMPLE: dict[str, Any] = {
    "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "otpauth_uri": "otpauth://totp/Taskloom:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Taskloom",
    "expires_at": "2026-11-24T09:10:00Z",
}
CODES_EXAMPLE: dict[str, Any] = {"recovery_codes": ["ABCD-EFGH-IJKL-MNOP-QRST-UVWX", "..."]}
MFA_EXAMPLE: dict[str, Any] = {
    "enabled": True,
    "totp": True,
    "totp_confirmed_at": "2026-11-24T09:01:00Z",
    "passkeys": 0,
    "recovery_codes_left": 10,
    "methods": ["totp", "recovery_code"],
}
