"""What this service reads of requests for mail; whatever else they carry is ignored."""

from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field


class AccountMail(BaseModel):
    """A mail to send. A kind that is not known here is tried for a day: a release may come that knows it."""

    id: UUID
    user_id: UUID
    kind: str = Field(max_length=64)
    to: str = Field(max_length=320)
    display_name: str = Field(max_length=200)
    locale: str | None = Field(default=None, max_length=35)
    timezone: str = Field(default="UTC", max_length=64)
    token_sealed: str | None = Field(default=None, max_length=4096)
    expires_at: AwareDatetime | None = None
    details: dict[str, str] = Field(default_factory=dict, max_length=50)
    address: str | None = Field(default=None, max_length=64)
    device: str | None = Field(default=None, max_length=1024)
    requested_at: AwareDatetime


class UserDeletion(BaseModel):
    """The data of user.deleted."""

    entity_id: UUID


class MailRequested(BaseModel):
    """The data of account_mail.requested."""

    resource: AccountMail
