"""What the OpenAPI document of every service has in common: security, refusals with examples, the error catalogue."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import isclass
from typing import Any, get_args

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from chassis.errors import (
    AppError,
    ErrorDetail,
    IdempotencyInProgress,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    InsufficientScope,
    InternalError,
    InvalidInput,
    LockWaitedTooLong,
    MalformedJson,
    PayloadTooLarge,
    RateLimited,
    ServiceUnavailable,
    SessionRequired,
    TokenReadOnly,
    TokenRestricted,
    Unauthenticated,
    UnknownParameter,
    UnsupportedMediaType,
    VersionConflict,
    error_classes,
)
from chassis.identity import READ_SUFFIX, WHOLE_SUFFIX
from chassis.web.envelope import Envelope, ErrorEnvelope, PageEnvelope
from chassis.web.handlers import api_routes
from chassis.web.routing import IDEMPOTENT_MARK, PUBLIC_MARK, REFUSALS_MARK, TokenRule, policy_of, token_rule
from chassis.web.status import STATUS_OF_KIND
from chassis.web.strict_json import NullCharacter, NumberOutOfRange
from chassis.web.validation import FIELD_CODES

JSON = "application/json"
NOT_MODIFIED = "304"
Responses = dict[int | str, dict[str, Any]]

EXAMPLE_REQUEST_ID = "0199d3b2-7fe0-7a10-9c41-5e2b7d904c33"
EXAMPLE_VERSION = 8
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
EVERYWHERE = (UnknownParameter, RateLimited, InternalError, ServiceUnavailable)
WITH_BODY = (PayloadTooLarge, UnsupportedMediaType)
WITH_JSON = (MalformedJson, NullCharacter, NumberOutOfRange)
WITH_KEY = (IdempotencyKeyInvalid, IdempotencyKeyReused, IdempotencyInProgress)
IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable ASCII characters: a repeated request gets the first answer for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
NEVER_STORED = {"Cache-Control": "`no-store`."}
"""How documents describe what nobody is to keep."""
CONTENT_TAG: dict[str, Any] = {
    "ETag": {"description": "Of what is shown; for `If-None-Match` alone.", "schema": {"type": "string"}}
}
IF_NONE_MATCH: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of what you have: 304 without a body when it is still that.",
    "schema": {"type": "string"},
}
PASSING = frozenset({429, 503})
RETRY_AFTER: dict[str, Any] = {
    "Retry-After": {"description": "After how many seconds to try again.", "schema": {"type": "integer"}}
}
"""Of refusals that pass."""
PARAMETER_CODES: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "INVALID_ID": lambda schema: schema.get("format") == "uuid",
    "INVALID_FORMAT": lambda schema: "pattern" in schema or schema.get("format") == "date-time",
    "NOT_ALLOWED": lambda schema: "enum" in schema,
    "TOO_SMALL": lambda schema: "minimum" in schema,
    "TOO_LONG": lambda schema: "maxLength" in schema,
    "WRONG_TYPE": lambda schema: schema.get("type") == "boolean",
}
"""By what a parameter has to be, what is wrong with one that is not; the first that fits."""
UNKNOWN_FIELD = ErrorDetail("UNKNOWN_FIELD", "There is no such field here.", "nickname")


def errors(*refusals: type[AppError] | AppError) -> Responses:
    """Return the `responses` of an endpoint for the refusals that are its own, each with an example.

    A class is shown with its `data_example`; where an endpoint's answer says more, its example is one that is made.
    """
    found: Responses = {}
    for refusal in refusals:
        status = STATUS_OF_KIND[refusal.kind]
        entry = found.setdefault(status, _error_response(refusal.message, status))
        entry["content"]["application/json"]["examples"][refusal.code] = _example(refusal)
    return found


def stale(refusal: type[VersionConflict], current: Mapping[str, Any], *fields: str) -> VersionConflict:
    """Return a version conflict as its answer has it: the resource as it is now, and the fields that changed since."""
    details = [ErrorDetail(refusal.code, "This field was changed since.", field) for field in fields]
    return refusal(details=details, data={"current": {**current, "version": EXAMPLE_VERSION}})


def example(value: Any, *, description: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the documentation of a success: the enveloped example, and headers with their descriptions."""
    described = {name: {"description": text, "schema": {"type": "string"}} for name, text in (headers or {}).items()}
    return {
        "description": description,
        "headers": described,
        "content": {"application/json": {"example": enveloped(value)}},
    }


def bare_example(value: Any, *, description: str) -> dict[str, Any]:
    """Return the documentation of a success that is not enveloped."""
    return {"description": description, "content": {"application/json": {"example": value}}}


def page_example(entry: Any, *, description: str) -> dict[str, Any]:
    """Return the documentation of a page with one entry."""
    shown = enveloped([entry], page=1, per_page=20, total=1)
    return {"description": description, "content": {"application/json": {"example": shown}}}


def enveloped(data: Any, **meta: Any) -> dict[str, Any]:
    """Return an example answer around `data`."""
    return {
        "success": True,
        "data": data,
        "message": None,
        "errors": [],
        "meta": {"request_id": EXAMPLE_REQUEST_ID, **meta},
    }


def add_refusals(operation: dict[str, Any], *refusals: type[AppError] | AppError) -> None:
    """Add refusals to an operation of a finished document; what it says of the same code already stays."""
    _merge(operation.setdefault("responses", {}), errors(*refusals))


def complete_document(app: FastAPI, routers: Sequence[object], field_codes: Mapping[str, str] = FIELD_CODES) -> None:
    """Make `app.openapi()` say what holds for all operations; `field_codes` are those of single fields."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            _add_common_parts(document, routers, field_codes)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend the document


def serve_document(app: FastAPI) -> None:
    """Serve the document at `/openapi.json`. It takes a second to make, once, during which others are still served."""
    making = asyncio.Lock()

    async def read_document(_request: Request) -> Response:
        async with making:
            document = await asyncio.to_thread(app.openapi)
        return JSONResponse(document)

    app.add_route("/openapi.json", read_document, include_in_schema=False)


def _add_common_parts(document: dict[str, Any], routers: Sequence[object], field_codes: Mapping[str, str]) -> None:
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    schemas = components.setdefault("schemas", {})
    schemas.setdefault("ErrorEnvelope", ErrorEnvelope.model_json_schema(ref_template="#/components/schemas/{model}"))
    for name, schema in schemas["ErrorEnvelope"].pop("$defs", {}).items():
        schemas.setdefault(name, schema)
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    document["x-error-codes"] = error_catalogue(field_codes)
    for route in api_routes(tuple(routers)):
        for method in route.methods or ():
            _complete(document["paths"].get(route.path_format, {}).get(method.lower()), route, method)


def error_catalogue(field_codes: Mapping[str, str] = FIELD_CODES) -> list[dict[str, Any]]:
    """Return every code that this process knows, with its status and sentence; those of single fields are 422."""
    of_fields = {code: {"code": code, "status": 422, "message": text} for code, text in field_codes.items()}
    of_errors = {
        cls.code: {"code": cls.code, "status": STATUS_OF_KIND[cls.kind], "message": cls.message}
        for cls in error_classes()
    }
    merged = of_fields | of_errors
    return [merged[code] for code in sorted(merged)]


def _complete(operation: dict[str, Any] | None, route: APIRoute, method: str) -> None:
    if operation is None:
        return
    is_public = hasattr(route.endpoint, PUBLIC_MARK)
    rule = token_rule(route.endpoint)
    operation["security"] = [] if is_public else [{"bearer": [rule.scope] if rule and rule.scope else []}]
    operation["x-api-tokens"] = _token_access(rule)
    decided = policy_of(route.endpoint)
    if decided is not None:
        operation["x-policy"] = decided.action
    _restore_examples(operation["responses"], route.responses)
    _show_bodies(operation, route)
    common: list[type[AppError] | AppError] = [
        *_invalid_input(operation, route),
        *EVERYWHERE,
        *(() if is_public else (Unauthenticated,)),
        *_token_refusals(rule, method),
    ]
    if method in BODY_METHODS and "requestBody" in operation:
        common.extend(WITH_BODY)
        common.extend(WITH_JSON if JSON in operation["requestBody"]["content"] else ())
    calls = list(_dependencies(route))
    common.extend(error for call in calls for error in getattr(call, REFUSALS_MARK, ()))
    if any(hasattr(call, IDEMPOTENT_MARK) for call in calls):
        common.extend(WITH_KEY)
        operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    if method != "GET":
        common.append(LockWaitedTooLong)
    if method == "GET" and _is_tagged(operation["responses"], route):
        _show_tag(operation["responses"])
    if NOT_MODIFIED in operation["responses"]:
        operation.setdefault("parameters", []).append(IF_NONE_MATCH)
    add_refusals(operation, *common)


def _token_access(rule: TokenRule | None) -> str:
    """Return what an API token needs: a scope, `any` or `none`."""
    if rule is None:
        return "none"
    return rule.scope or ("any" if rule.any_token else "none")


def _token_refusals(rule: TokenRule | None, method: str) -> tuple[type[AppError], ...]:
    if rule is None or rule.any_token:
        return ()
    if rule.scope is None:
        return (SessionRequired,)
    reads = method == "GET" or rule.scope.endswith(READ_SUFFIX)
    whole = (TokenRestricted,) if rule.scope.endswith(WHOLE_SUFFIX) else ()
    return (InsufficientScope, *whole) if reads else (InsufficientScope, *whole, TokenReadOnly)


def _is_tagged(responses: Mapping[str, Any], route: APIRoute) -> bool:
    """Tell whether what a GET shows gets an entity tag of its content (chassis.web.replies.tagged).

    It does unless it documents the one that it gives, or that it is never stored.
    """
    model = route.response_model
    is_enveloped = isclass(model) and issubclass(model, Envelope | PageEnvelope)
    return is_enveloped and not {"ETag", "Cache-Control"} & responses["200"].get("headers", {}).keys()


def _show_tag(responses: dict[str, Any]) -> None:
    found = responses["200"]
    responses["200"] = {**found, "headers": {**found.get("headers", {}), **CONTENT_TAG}}
    responses.setdefault(NOT_MODIFIED, {"description": "Nothing changed since the ETag in If-None-Match."})


def _dependencies(route: APIRoute) -> Iterator[object]:
    """Yield the endpoint of a route, and all that it depends on."""
    pending = [route.dependant]
    while pending:
        current = pending.pop()
        yield current.call
        pending.extend(current.dependencies)


def _restore_examples(documented: dict[str, Any], declared: Responses) -> None:
    """Put the examples back as they were declared: FastAPI drops every null on the way."""
    for status, response in declared.items():
        for media_type, content in response.get("content", {}).items():
            target = documented[str(status)]["content"][media_type]
            target.update({name: content[name] for name in ("example", "examples") if name in content})


def _invalid_input(operation: dict[str, Any], route: APIRoute) -> list[InvalidInput]:
    """Return the refusal of what is not valid, shown with something of the operation that would not be, if there is."""
    needed = [
        field.alias or name
        for model in _body_models(route)
        for name, field in model.model_fields.items()
        if field.is_required()
    ]
    if needed:
        return [InvalidInput(details=[ErrorDetail("REQUIRED", FIELD_CODES["REQUIRED"], needed[0])])]
    parameters = [one for one in operation.get("parameters", ()) if one["in"] in ("path", "query")]
    if parameters:
        return [InvalidInput(details=[_invalid_parameter(parameters[0]["name"], parameters[0]["schema"])])]
    return [InvalidInput(details=[UNKNOWN_FIELD])] if route.body_field is not None else []


def _invalid_parameter(name: str, schema: Mapping[str, Any]) -> ErrorDetail:
    kinds = [schema, *schema.get("anyOf", ())]
    for code, applies in PARAMETER_CODES.items():
        if any(applies(kind) for kind in kinds):
            return ErrorDetail(code, FIELD_CODES[code], name)
    return ErrorDetail("INVALID_VALUE", FIELD_CODES["INVALID_VALUE"], name)


def _body_models(route: APIRoute) -> list[type[BaseModel]]:
    if route.body_field is None:
        return []
    annotation = route.body_field.field_info.annotation
    return [one for one in (annotation, *get_args(annotation)) if isclass(one) and issubclass(one, BaseModel)]


def _show_bodies(operation: dict[str, Any], route: APIRoute) -> None:
    """Put the examples of a body beside it, as they were declared; each is named after the fields that it has."""
    examples = _body_examples(route)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if len(examples) == 1:
            content.setdefault("example", examples[0])
        elif examples:
            content.setdefault("examples", {", ".join(one) or "nothing": {"value": one} for one in examples})


def _body_examples(route: APIRoute) -> list[Any]:
    for model in _body_models(route):
        schema = model.model_json_schema()
        return list(schema.get("examples") or _of_its_fields(schema))
    return [] if route.body_field is None else list(route.body_field.field_info.examples or ())


def _of_its_fields(schema: Mapping[str, Any]) -> list[Any]:
    """Return the example that the examples of a model's fields make, if all that is needed has one."""
    shown = {name: field["examples"][0] for name, field in schema["properties"].items() if field.get("examples")}
    return [shown] if shown and shown.keys() >= set(schema.get("required", ())) else []


def _merge(declared: dict[str, Any], added: Responses) -> None:
    for status, response in added.items():
        present = declared.get(str(status))
        if present is None or "HTTPValidationError" in str(present):
            declared[str(status)] = response
            continue
        if "headers" in response:
            present["headers"] = {**present.get("headers", {}), **response["headers"]}
        content = present.setdefault("content", {}).setdefault("application/json", {})
        examples = content.setdefault("examples", {})
        for name, value in response["content"]["application/json"]["examples"].items():
            examples.setdefault(name, value)


def _error_response(description: str, status: int) -> dict[str, Any]:
    return {
        "description": description,
        **({"headers": RETRY_AFTER} if status in PASSING else {}),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}, "examples": {}}},
    }


def _example(refusal: type[AppError] | AppError) -> dict[str, Any]:
    if isinstance(refusal, AppError):
        details, data = refusal.details, refusal.data
    else:
        details = (ErrorDetail(refusal.code, refusal.message, None),)
        data = None if refusal.data_example is None else dict(refusal.data_example)
    return {
        "summary": refusal.message,
        "value": {
            "success": False,
            "data": data,
            "message": refusal.message,
            "errors": [{"field": d.field, "code": d.code, "message": d.message} for d in details],
            "meta": {"request_id": EXAMPLE_REQUEST_ID},
        },
    }
