from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from chassis.patching import NotNull
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from auth_service.passkeys.schemas import UsedPasskey

OTP_LENGTH = 64


class MfaLogin(BaseModel):
    """The second step of a login: the token of the first, and a code or a passkey."""

    model_config = ConfigDict(extra="forbid")

    mfa_token: str = Field(max_length=200, description="From the data of `MFA_REQUIRED`.", examples=["tlm_mfa_7Rk2..."])
    otp: str | None = Field(
        default=None, max_length=OTP_LENGTH, description="A one-time code or a recovery code.", examples=["123456"]
    )
    credential: UsedPasskey | None = Field(default=None, description="A passkey, by the options of the first step.")

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.otp is None) == (self.credential is None):
            raise PydanticCustomError("ONE_PROOF", "Give either otp or credential.")
        return self


class StepUp(BaseModel):
    """A proof of who has logged in: of the second factor where the account has one, else the password."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"password": "correct horse battery"}, {"otp": "123456"}]}
    )

    password: Annotated[str | None, NotNull] = Field(default=None, max_length=1024)
    otp: Annotated[str | None, NotNull] = Field(
        default=None, max_length=OTP_LENGTH, description="A one-time code or a recovery code."
    )
    challenge_id: Annotated[UUID | None, NotNull] = Field(
        default=None, description="From `POST /api/v1/auth/step-up/options`."
    )
    credential: Annotated[UsedPasskey | None, NotNull] = Field(
        default=None, description="A passkey in answer to the challenge."
    )


class StepUpOut(BaseModel):
    """Until when sensitive actions need no further proof."""

    proven_until: datetime


STEP_UP_EXAMPLE: dict[str, Any] = {"proven_until": "2026-11-24T09:10:00Z"}
