from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


class Placement(BaseModel):
    """Beside which task it goes: exactly one of the two."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"after_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"}]},
    )

    after_id: UUID | None = Field(default=None, description="The task that it follows.")
    before_id: UUID | None = Field(default=None, description="The task that follows it.")

    @model_validator(mode="after")
    def _is_beside_one(self) -> Self:
        if (self.after_id is None) == (self.before_id is None):
            raise PydanticCustomError("ONE_NEIGHBOR", "Give exactly one of after_id and before_id.")
        return self
