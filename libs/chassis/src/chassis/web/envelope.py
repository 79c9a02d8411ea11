"""The envelope around every JSON answer, as models for the OpenAPI document and as bytes for the wire."""

from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field

from chassis.context import current_request
from chassis.errors import AppError, ErrorDetail
from chassis.text import printable

T = TypeVar("T")


def is_none(value: object) -> bool:
    """Tell whether there is nothing, for what is left out then."""
    return value is None


class ErrorEntry(BaseModel):
    """One thing that is wrong."""

    model_config = ConfigDict(json_schema_extra={"required": ["field", "code", "message"]})

    field: str | None = Field(description="Dotted path of the field, or null when no single field is at fault.")
    code: str = Field(description="Stable UPPER_SNAKE code; see GET /api/v1/meta/errors.", examples=["REQUIRED"])
    message: str = Field(description="For people; may change.", examples=["This field is required."])
    hint: str | None = Field(default=None, exclude_if=is_none, description="What was probably meant, or what to do.")
    allowed: list[str] | None = Field(default=None, exclude_if=is_none, description="The values that are accepted.")
    position: int | None = Field(
        default=None, exclude_if=is_none, description="Where in the text of the field this is, in characters from 0."
    )
    pointer: str | None = Field(
        default=None, exclude_if=is_none, description="Where in the JSON of the field this is (RFC 6901)."
    )
    expected: list[str] | None = Field(default=None, exclude_if=is_none, description="What may stand at this place.")
    index: int | None = Field(
        default=None, exclude_if=is_none, description="Index of the operation, where a request has several."
    )


class Meta(BaseModel):
    """About the answer."""

    model_config = ConfigDict(extra="allow")

    request_id: str = Field(description="Id of this request, also in X-Request-Id and in the logs.")


class PageMeta(Meta):
    """About a page of a list. Page mode fills page, per_page and total; cursor mode the other three."""

    page: int | None = Field(default=None, ge=1)
    per_page: int | None = Field(default=None, ge=1, le=100)
    total: int | None = Field(default=None, ge=0)
    next_cursor: str | None = None
    prev_cursor: str | None = None
    has_more: bool | None = None


class Envelope(BaseModel, Generic[T]):
    """A successful answer."""

    success: bool = Field(examples=[True])
    data: T
    message: str | None
    errors: list[ErrorEntry]
    meta: Meta


class PageEnvelope(BaseModel, Generic[T]):
    """A successful answer that is one page of a list."""

    success: bool = Field(examples=[True])
    data: list[T]
    message: str | None
    errors: list[ErrorEntry]
    meta: PageMeta


class ErrorEnvelope(BaseModel):
    """A refusal: `data` is null but for a version conflict, which carries the current resource."""

    success: bool = Field(examples=[False])
    data: Any = None
    message: str
    errors: list[ErrorEntry]
    meta: Meta


def success_body(data: bytes, meta: dict[str, Any] | None = None) -> bytes:
    """Wrap the JSON in `data` as a successful envelope."""
    all_meta = {"request_id": current_request().request_id, **(meta or {})}
    return b'{"success":true,"data":%b,"message":null,"errors":[],"meta":%b}' % (data, orjson.dumps(all_meta))


def failure_body(error: AppError) -> bytes:
    """Render a refusal as an envelope. Texts are cleaned and cut to 200 characters (R28)."""
    return orjson.dumps(
        {
            "success": False,
            "data": error.data,
            "message": printable(error.message),
            "errors": [entry_of(detail) for detail in error.details],
            "meta": {"request_id": current_request().request_id, **error.meta},
        },
        default=str,
    )


def entry_of(detail: ErrorDetail) -> dict[str, Any]:
    """Return an entry of `errors`, with those of its parts that there are (R28)."""
    entry: dict[str, Any] = {
        "field": None if detail.field is None else printable(detail.field),
        "code": detail.code,
        "message": printable(detail.message),
    }
    if detail.hint is not None:
        entry["hint"] = printable(detail.hint)
    if detail.position is not None:
        entry["position"] = detail.position
    if detail.pointer is not None:
        entry["pointer"] = printable(detail.pointer)
    for name in ("allowed", "expected"):
        values = getattr(detail, name)
        if values is not None:
            entry[name] = [printable(value) for value in values]
    if detail.index is not None:
        entry["index"] = detail.index
    return entry
