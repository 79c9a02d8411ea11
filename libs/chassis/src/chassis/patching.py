"""Bodies of PATCH: what every merge patch (RFC 7396) has in common."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError


def _not_null(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("NOT_NULLABLE", "This field can't be cleared.")
    return value


NotNull = BeforeValidator(_not_null)
"""For a field that may be absent, and is never null."""


def without_default(schema: dict[str, Any]) -> None:
    """Leave the default out of a field's schema: what is absent stays as it is. For `json_schema_extra`."""
    schema.pop("default", None)


def patched(value: Any, patch: Any) -> Any:
    """Return a JSON value after a merge patch (RFC 7396): objects are merged at all levels, null removes a member."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, one in patch.items():
        if one is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), one)
    return result


class MergePatch(BaseModel):
    """A body that names what is to change: absent keeps, null clears."""

    model_config = ConfigDict(extra="forbid")

    def given(self) -> dict[str, Any]:
        """Return the fields that the patch names, and only those, with their values."""
        return {name: getattr(self, name) for name in self.model_fields_set}
