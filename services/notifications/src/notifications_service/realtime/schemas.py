"""What this service reads of the tasks service's answer; whatever else it carries is ignored."""

from uuid import UUID

from pydantic import BaseModel


class MembershipIn(BaseModel):
    workspace_id: UUID
    joined_seq: int


class MembershipsIn(BaseModel):
    memberships: list[MembershipIn]
