from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from tasks_service.permissions.rules import ProjectRole

InvitedRole = Literal["admin", "member", "guest"]
State = Literal["pending", "accepted", "declined", "revoked"]
MailKind = Literal["workspace_invitation"]

MAX_PROJECTS = 50
WORKSPACE_ID = "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02"
PROJECT_ID = "0199d3b2-6f11-7d22-8a4d-5b1e3c7f9a08"


class ProjectGrant(BaseModel):
    """A project, with the role in it that comes with the invitation."""

    model_config = ConfigDict(extra="forbid")

    project_id: UUID
    role: ProjectRole


def _each_once(grants: list[ProjectGrant]) -> list[ProjectGrant]:
    if len({one.project_id for one in grants}) < len(grants):
        raise PydanticCustomError("DUPLICATE_PROJECT", "Name each project once.")
    return grants


class InvitationOut(BaseModel):
    """An address that is asked into a workspace."""

    id: UUID
    workspace_id: UUID
    email: str
    role: InvitedRole = Field(description="The role in the workspace that comes with it.")
    projects: list[ProjectGrant]
    state: State = Field(description="A pending one counts until `expires_at`, while `invited_by` may invite.")
    invited_by: UUID = Field(description="Who invited, changed or mailed it last, and answers for it.")
    version: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> "InvitationOut":
        """Make the resource of a row."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})


class InvitationResource(BaseModel):
    """An invitation as events show it: events are kept, so the address is not in them."""

    id: UUID
    workspace_id: UUID
    role: InvitedRole
    projects: list[ProjectGrant]
    state: State
    invited_by: UUID
    version: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> "InvitationResource":
        """Make the resource of a row."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})


class InvitationCreate(BaseModel):
    """Whom to ask, and into what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"email": "grace@example.com", "role": "member"},
                {
                    "email": "grace@example.com",
                    "role": "guest",
                    "projects": [{"project_id": PROJECT_ID, "role": "editor"}],
                },
            ]
        },
    )
    read_only_fields: ClassVar[frozenset[str]] = frozenset(InvitationOut.model_fields) - {"email", "role", "projects"}

    email: str = Field(max_length=320)
    role: InvitedRole = Field(default="member", description="Owners are not invited: a member is made one.")
    projects: Annotated[list[ProjectGrant], AfterValidator(_each_once)] = Field(
        default_factory=list, max_length=MAX_PROJECTS, description="Projects to become a member of, too."
    )


TokenText = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class InvitationToken(BaseModel):
    """The token of the mail."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"token": "h9Qw…"}]})

    token: TokenText


class InvitationLinkOut(BaseModel):
    """A mailed link that is in force."""

    valid: Literal[True]
    workspace: str = Field(description="The name of the workspace.")
    role: InvitedRole
    expires_at: datetime
    accept_by: str = Field(description="The request that accepts the invitation.")


class AcceptedOut(BaseModel):
    """What the caller is a member of now."""

    workspace_id: UUID
    name: str
    role: Literal["owner", "admin", "member", "guest"] = Field(
        description="The role in the workspace; whoever was a member before keeps theirs."
    )
    projects: list[ProjectGrant] = Field(description="Projects that came with it; those that are gone are left out.")


class InvitationMailResource(BaseModel):
    """A mail to send to an invited address. `user_id` is who invites; the token of its link is sealed."""

    id: UUID
    user_id: UUID
    kind: MailKind
    to: str
    display_name: str = Field(description="Empty: what an invited address is called is not known.")
    locale: str | None
    timezone: str
    token_sealed: str
    expires_at: datetime
    details: dict[str, str] = Field(description="`workspace`, `invited_by` and `role`.")
    requested_at: datetime


INVITATION_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f07-7b33-9e6f-2b7a7b0e3d12",
    "workspace_id": WORKSPACE_ID,
    "email": "grace@example.com",
    "role": "member",
    "projects": [{"project_id": PROJECT_ID, "role": "editor"}],
    "state": "pending",
    "invited_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
    "expires_at": "2026-12-01T09:00:00Z",
}
INVITATION_RESOURCE_EXAMPLE = {name: value for name, value in INVITATION_EXAMPLE.items() if name != "email"}
ACCEPT_BY = 'POST /api/v1/invitations/accept {"token": …}, with the access token of an account of the invited address'
INVITATION_LINK_EXAMPLE: dict[str, Any] = {
    "valid": True,
    "workspace": "Choir",
    "role": "member",
    "expires_at": "2026-12-01T09:00:00Z",
    "accept_by": ACCEPT_BY,
}
ACCEPTED_EXAMPLE: dict[str, Any] = {
    "workspace_id": WORKSPACE_ID,
    "name": "Choir",
    "role": "member",
    "projects": [{"project_id": PROJECT_ID, "role": "editor"}],
}
INVITATION_MAIL_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f08-7b33-9e6f-2b7a7b0e3d13",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "kind": "workspace_invitation",
    "to": "grace@example.com",
    "display_name": "",
    "locale": None,
    "timezone": "UTC",
    "token_sealed": "v1.k1.q83vASNFZ4mrze8B3q2-78r-ur4AESIzRFVmd4iZqrvM3e7_",
    "expires_at": "2026-12-01T09:00:00Z",
    "details": {"workspace": "Choir", "invited_by": "Ada", "role": "member"},
    "requested_at": "2026-11-24T09:00:00Z",
}
