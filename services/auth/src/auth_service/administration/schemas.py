from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from auth_service.users.schemas import USER_EXAMPLE, UserOut


class UserDetailOut(UserOut):
    """A user, as an administrator sees one."""

    has_second_factor: bool
    password_reset_required: bool
    last_login_at: datetime | None = Field(description="The last login that the audit still has.")
    session_count: int = Field(description="Logins that are in force.")
    api_token_count: int = Field(description="API tokens that are in force.")


class Disabling(BaseModel):
    """Why an account is disabled; for the audit."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "Left the company."}]})

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] | None = None


class RolesPut(BaseModel):
    """All roles in the instance that the user is to have; `user` is always one of them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"roles": ["user", "admin"]}]})

    roles: list[Literal["user", "admin"]] = Field(max_length=2)


DISABLED_EXAMPLE: dict[str, Any] = {**USER_EXAMPLE, "status": "disabled", "version": 2}
ENABLED_EXAMPLE: dict[str, Any] = {**USER_EXAMPLE, "version": 3}
ADMIN_EXAMPLE: dict[str, Any] = {**USER_EXAMPLE, "roles": ["user", "admin"], "version": 2}
USER_DETAIL_EXAMPLE: dict[str, Any] = {
    **USER_EXAMPLE,
    "has_second_factor": True,
    "password_reset_required": False,
    "last_login_at": "2026-11-24T09:00:00Z",
    "session_count": 2,
    "api_token_count": 1,
}
