from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

OTP_LENGTH = 64


class MfaLogin(BaseModel):
    """The second step of a login: the token of the first, and a code."""

    model_config = ConfigDict(extra="forbid")

    mfa_token: str = Field(max_length=200)
    otp: str = Field(max_length=OTP_LENGTH, description="A one-time code or a recovery code.", examples=["123456"])


class StepUp(BaseModel):
    """A proof of who has logged in: of the second factor where the account has one, else the password."""

    model_config = ConfigDict(extra="forbid")

    password: str | None = Field(default=None, max_length=1024)
    otp: str | None = Field(default=None, max_length=OTP_LENGTH, description="A one-time code or a recovery code.")


class StepUpOut(BaseModel):
    """Until when sensitive actions need no further proof."""

    proven_until: datetime


STEP_UP_EXAMPLE: dict[str, Any] = {"proven_until": "2026-11-24T09:10:00Z"}
