"""The OAuth2 password form (RFC 6749, section 4.3): read strictly, and refused as OAuth2 clients expect."""

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from chassis.errors import AppError, ErrorDetail, InvalidInput, UnsupportedMediaType
from chassis.web.handlers import on_app_error, on_http_exception, on_validation_error
from chassis.web.replies import JSON
from chassis.web.routing import StrictRoute
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 20
INVALID_REQUEST, UNSUPPORTED_GRANT = "invalid_request", "unsupported_grant_type"
OAUTH_ERRORS = {
    401: "invalid_grant",
    403: "invalid_grant",
    429: "temporarily_unavailable",
    503: "temporarily_unavailable",
}


class FormExpected(UnsupportedMediaType):
    """The same code with another sentence: here JSON is what is not accepted."""

    message = "Send the body as application/x-www-form-urlencoded, without a content encoding."


class OAuthFormRoute(StrictRoute):
    """Reads a form in which no field is repeated, and adds `error` (section 5.2) to the envelope of a refusal."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_form(request: Request) -> Response:
            try:
                await _check_form(request)
                return await handle(request)
            except AppError as error:
                return _as_oauth(await on_app_error(request, error))
            except RequestValidationError as error:
                return _as_oauth(await on_validation_error(request, error))
            except HTTPException as error:
                return _as_oauth(await on_http_exception(request, error))

        return handle_form


async def _check_form(request: Request) -> None:
    """Parse the form, which the request then keeps. Raises FormExpected or InvalidInput."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM or request.headers.get("content-encoding", "identity") != "identity":
        raise FormExpected
    fields = (await request.form(max_fields=MAX_FIELDS)).multi_items()
    repeated = [name for name, count in Counter(name for name, _ in fields).items() if count > 1]
    if repeated:
        sentence = "This field may be given only once."
        raise InvalidInput(details=[ErrorDetail("REPEATED_FIELD", sentence, name) for name in repeated])


def _as_oauth(refusal: Response) -> Response:
    envelope = orjson.loads(refusal.body)
    fields = [entry["field"] for entry in envelope["errors"]]
    error = UNSUPPORTED_GRANT if fields == ["grant_type"] else OAUTH_ERRORS.get(refusal.status_code, INVALID_REQUEST)
    body = orjson.dumps({**envelope, "error": error, "error_description": envelope["message"]})
    headers = {name: value for name, value in refusal.headers.items() if name not in {"content-length", "content-type"}}
    return Response(body, refusal.status_code, headers, JSON)
