from dataclasses import dataclass
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from tasks_service.permissions.rules import Action, Reason, ResourceType

MAX_CHECKS = 100


@dataclass(frozen=True, slots=True)
class Held:
    """Something that the caller sees: where it is, the caller's role there, and whether it is the caller's own.

    The role is that in the project for what is in one, and else that in the workspace.
    """

    role: str
    workspace_id: UUID
    project_id: UUID | None = None
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What the caller sees of what a question is about: what it has there, and by the project alone."""

    held: Held
    role_in_project: str | None
    in_trash: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, why, and by what."""

    allowed: bool
    reason: Reason
    via: str | None


class ResourceRef(BaseModel):
    """What an action is about."""

    model_config = ConfigDict(extra="forbid")

    type: ResourceType
    id: UUID


class Check(BaseModel):
    """One question: may I do this with that?"""

    model_config = ConfigDict(extra="forbid")

    action: Action
    resource: ResourceRef

    @model_validator(mode="after")
    def _is_about_its_resource(self) -> Self:
        if self.action.partition(".")[0] != self.resource.type:
            raise PydanticCustomError("ACTION_OF_ANOTHER_TYPE", "This action is of another type of resource.")
        return self


class Checks(BaseModel):
    """Questions, answered in their order."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "checks": [
                        {
                            "action": "task.edit",
                            "resource": {"type": "task", "id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"},
                        }
                    ]
                }
            ]
        },
    )

    checks: list[Check] = Field(min_length=1, max_length=MAX_CHECKS)


class DecisionOut(BaseModel):
    """The answer to one question."""

    allowed: bool
    reason: Reason = Field(
        description=(
            "What decided, in the order in which a request would be refused: the token's scope, whether it is "
            "too restricted for that scope, whether it may write, whether the resource is there for you, what the "
            "token reaches, and your role."
        )
    )
    via: str | None = Field(
        description=(
            "By what: `project_role:<role>` or `workspace_role:<role>` that you have (`none` where a share of the task "
            "is not enough), `token_scope:<scope>` that the token lacks, or the restriction of the token "
            "(`token:read_only`, `token:workspace_id`, `token:project_ids`); null for what is not there."
        ),
        examples=["project_role:editor"],
    )


DECISIONS_EXAMPLE: list[dict[str, Any]] = [
    {"allowed": True, "reason": "ALLOWED", "via": "project_role:editor"},
    {"allowed": False, "reason": "ROLE_TOO_LOW", "via": "project_role:viewer"},
    {"allowed": False, "reason": "NOT_FOUND", "via": None},
]


class RuleOut(BaseModel):
    """Who may do something."""

    action: Action
    role_in: Literal["workspace", "project"] = Field(description="Which of your roles decides.")
    roles: list[str] = Field(description="Roles that may.")
    own_roles: list[str] = Field(description="Roles that may, too, where it is your own.")
    scope: str = Field(description="What an API token needs.")


RULES_EXAMPLE: list[dict[str, Any]] = [
    {
        "action": "comment.delete",
        "role_in": "project",
        "roles": ["manager"],
        "own_roles": ["commenter", "editor"],
        "scope": "comments:write",
    }
]
