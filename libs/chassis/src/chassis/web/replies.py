"""Answers: an Out model in, a response with envelope and headers out; what is sent is what was validated."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import Request, Response
from pydantic import BaseModel

from chassis.errors import AppError
from chassis.web.answers import Whole
from chassis.web.constructing import WrittenJson
from chassis.web.envelope import failure_body, success_body
from chassis.web.status import STATUS_OF_KIND

JSON = "application/json"
NULL = b"null"
OK = 200
NOT_MODIFIED_HEADERS = ("etag", "cache-control", "vary", "link")
PRIVATE = {"cache-control": "private, no-cache", "vary": "Authorization"}
NO_STORE = {"cache-control": "no-store", "vary": "Authorization"}


class Enveloped(Whole):
    """An answer in the envelope, with what it says of resources: its data and meta, without what is of the request."""

    shown: tuple[bytes, dict[str, Any] | None] = NULL, None


def etag(version: int) -> str:
    """Return the strong entity tag of a version (RFC 9110, section 8.8.3)."""
    return f'"{version}"'


def reply(
    data: BaseModel | Sequence[BaseModel] | WrittenJson | None,
    *,
    status: int = 200,
    meta: dict[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Envelope `data`. `headers` are added to the defaults of answers with user data, and override them."""
    shown = to_json(data), meta
    answer = Enveloped(success_body(*shown), status, {**PRIVATE, **(headers or {})}, JSON)
    answer.shown = shown
    return answer


def to_json(data: BaseModel | Sequence[BaseModel] | WrittenJson | None) -> bytes:
    """Serialize Out models in one pass."""
    if data is None:
        return NULL
    if isinstance(data, WrittenJson):
        return data
    if isinstance(data, BaseModel):
        return data.__pydantic_serializer__.to_json(data)
    return b"[%b]" % b",".join(item.__pydantic_serializer__.to_json(item) for item in data)


def refuse(error: AppError) -> Response:
    """Envelope a refusal with the status of its kind."""
    headers = {"cache-control": "no-store", **error.headers}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    status = STATUS_OF_KIND[error.kind]
    if status == 401:  # noqa: PLR2004 - RFC 9110 asks for the challenge on exactly this status
        headers.setdefault("www-authenticate", "Bearer")
    return Whole(failure_body(error), status, headers, JSON)


def unless_unchanged(request: Request, response: Response) -> Response:
    """Answer 304 instead when If-None-Match names the response's entity tag (RFC 9110, section 13.1.2)."""
    tag = response.headers.get("etag")
    wanted = request.headers.get("if-none-match")
    if tag is None or wanted is None or not _names(wanted, tag):
        return response
    kept = {name: response.headers[name] for name in NOT_MODIFIED_HEADERS if name in response.headers}
    return Whole(b"", 304, kept)


def tagged(request: Request, response: Response) -> Response:
    """Give what a read shows a weak entity tag of its content, and answer 304 when the caller has just that.

    What has an entity tag already has decided for itself, and what is never stored needs none.
    """
    if request.method != "GET" or not isinstance(response, Enveloped) or response.status_code != OK:
        return response
    if "etag" in response.headers or response.headers["cache-control"] == NO_STORE["cache-control"]:
        return response
    data, meta = response.shown
    response.headers["etag"] = content_etag(data + orjson.dumps(meta))
    return unless_unchanged(request, response)


def content_etag(data: bytes) -> str:
    """Return the weak entity tag of what is shown: a digest of it."""
    return f'W/"{hashlib.sha256(data).hexdigest()[:32]}"'


def _names(wanted: str, tag: str) -> bool:
    opaque = tag.removeprefix("W/")
    candidates = {candidate.strip().removeprefix("W/") for candidate in wanted.split(",")}
    return "*" in candidates or opaque in candidates
