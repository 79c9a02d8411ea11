from typing import Annotated, Any, Self
from uuid import UUID

from chassis.patching import NotNull
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from auth_service.passkeys.schemas import UsedPasskey
from auth_service.sessions.schemas import Credentials
from auth_service.users.schemas import USER_EXAMPLE


class Reactivation(Credentials):
    """E-mail and password, and a code or a passkey where the account has a second factor."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"email": "ada@example.com", "password": "correct horse battery"},
                {"email": "ada@example.com", "password": "correct horse battery", "otp": "123456"},
            ]
        },
    )

    challenge_id: Annotated[UUID | None, NotNull] = Field(default=None, description="From the data of `MFA_REQUIRED`.")
    credential: Annotated[UsedPasskey | None, NotNull] = Field(
        default=None, description="A passkey, by the options in the data of `MFA_REQUIRED`."
    )

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if self.otp is not None and self.credential is not None:
            raise PydanticCustomError("ONE_PROOF", "Give either otp or credential.")
        return self


DEACTIVATED_EXAMPLE: dict[str, Any] = {**USER_EXAMPLE, "status": "deactivated", "version": 2}
DELETING_EXAMPLE: dict[str, Any] = {
    **USER_EXAMPLE,
    "status": "deleting",
    "deletes_at": "2026-12-24T09:00:00Z",
    "version": 2,
}
TOMBSTONE_EXAMPLE: dict[str, Any] = {
    **USER_EXAMPLE,
    "status": "deleted",
    "email": None,
    "email_verified": False,
    "display_name": "Deleted user",
    "roles": [],
    "version": 3,
}
