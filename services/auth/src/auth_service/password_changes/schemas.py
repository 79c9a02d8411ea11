from pydantic import BaseModel, ConfigDict, Field

from auth_service.verification.schemas import TOKEN_EXAMPLE, LinkTokenText

NEW_PASSWORD = "8 to 128 characters, not a known one."  # noqa: S105 - a description


class PasswordReset(BaseModel):
    """The token of a mailed link, and the password to have from now on."""

    model_config = ConfigDict(extra="forbid")

    token: LinkTokenText = Field(examples=[TOKEN_EXAMPLE])
    password: str = Field(max_length=1024, description=NEW_PASSWORD, examples=["green lantern orbit"])


class PasswordChange(BaseModel):
    """The password so far, and the one to have from now on."""

    model_config = ConfigDict(extra="forbid")

    current_password: str = Field(max_length=1024, examples=["correct horse battery"])
    new_password: str = Field(max_length=1024, description=NEW_PASSWORD, examples=["green lantern orbit"])
