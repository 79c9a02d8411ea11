"""The route class of every API: strict JSON bodies and query parameters before FastAPI, entity tags after it.

This is FastAPI's documented way to replace what is around a handler; it does nothing else.
"""

import re
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import fastapi
from fastapi import FastAPI, Request, Response
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams

from chassis.errors import AppError, ErrorDetail, ErrorKind, InvalidInput, MethodNotAllowed, UnknownParameter
from chassis.text import closest, hint_at
from chassis.web.replies import tagged
from chassis.web.strict_json import MAX_VALUES, NullCharacter, NumberOutOfRange, check_content_type, parse_json
from chassis.web.validation import MAX_ERRORS, indexed_details, invalid_body

P = ParamSpec("P")
T = TypeVar("T")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Answering = Callable[[Request, Handler], Coroutine[Any, Any, Response]]

PUBLIC_MARK = "__public_reason__"
IDEMPOTENT_MARK = "__takes_idempotency_key__"
SCOPE_MARK = "__scope__"
NAMES_MARK = "__names_given__"
POLICY_MARK = "__policy__"
REFUSALS_MARK = "__refusals__"
VALUES_MARK = "__json_values__"
SCOPE = re.compile(r"[a-z]+:(?:[a-z]+|\*)")


MAY_COME_WITHOUT_BODY = {"POST", "PATCH"}


@dataclass(frozen=True, slots=True)
class TokenRule:
    """What an API token needs for a route: the scope, or for None whether any token may (`any_token`) or none."""

    scope: str | None = None
    any_token: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The action that a route's caller has to be allowed; None where there is no such thing to decide."""

    action: str | None = None


class StrictRoute(APIRoute):
    """Refuses what R29 and R31 refuse: bodies that are not strict JSON, unknown and repeated parameters.

    Values of a list parameter may be joined by commas, too, and a body without a field that has to be there may be left
    out, but of PUT, which replaces something by it. Where something is refused here, it is told with all else
    that is wrong with the parameters and the body. A service may say by `state.answers_by` how handlers are called
    (chassis.web.repeating).
    """

    def get_route_handler(self) -> Handler:
        if (self.methods or set()) <= MAY_COME_WITHOUT_BODY:
            _need_no_body(self.body_field)
        handle = super().get_route_handler()
        single, repeatable = _query_parameters(self.dependant)
        takes_json = self.body_field is not None and not _is_form(self)
        max_values = max_values_of(self.endpoint)

        async def handle_strictly(request: Request) -> Response:
            fixed: Mapping[str, list[str]] = getattr(request.app.state, "fixed_paths", {})
            allowed = fixed.get(request.scope["path"]) if self.param_convertors else None
            if allowed is not None:
                # Another method of a path that is not the name of something, such as `/tasks/bulk`.
                raise MethodNotAllowed(headers={"allow": ", ".join(allowed)})
            given = request.query_params.multi_items()
            if given and repeatable:
                # Starlette keeps the parsed query in `_query_params`.
                request._query_params = QueryParams([*_split(given, repeatable)])  # noqa: SLF001 - where Starlette keeps it
            problems = query_problems(given, single, repeatable)
            if takes_json:
                # Of nearly every body there is nothing to tell.
                refused = await _read_json(request, max_values)
                problems += indexed_details(self, refused) if refused else []
            if problems:
                others = self._other_problems(request, {one.field for one in problems})
                raise _as_error([*problems, *others][:MAX_ERRORS])
            answer: Answering | None = getattr(request.app.state, "answers_by", None)
            try:
                response = await (handle(request) if answer is None else answer(request, handle))
            except AppError as refusal:
                # Of a dependency, perhaps: then FastAPI has not told what is wrong with the rest.
                if refusal.kind is ErrorKind.INVALID:
                    refusal.details = (*refusal.details, *self._other_problems(request))[:MAX_ERRORS]
                raise
            return tagged(request, response)

        return handle_strictly

    def _other_problems(self, request: Request, told: Collection[str | None] = ()) -> Iterator[ErrorDetail]:
        """Yield what else FastAPI finds wrong with the parameters and the body, without asking any dependency."""
        found: list[Any] = []
        for one in all_of(self.dependant):
            query = request_params_to_args(one.query_params, request.query_params)[1]
            found += [error for error in query if error["loc"][1] not in told]
            found += request_params_to_args(one.header_params, request.headers)[1]
            names = [field for field in one.path_params if field.alias in names_given(request)]
            found += request_params_to_args(names, request.path_params)[1]
        found += _body_problems(self.body_field, request)
        if found:
            yield from invalid_body(self, found).details


def public(reason: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark an endpoint as open to callers without an identity, with the reason why that is right."""

    def mark(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        setattr(endpoint, PUBLIC_MARK, reason)
        return endpoint

    return mark


def scope(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark an endpoint as open to API tokens with a scope such as `tasks:read`. Sessions have every scope.

    Raises ValueError for a name that is not `<noun>:<verb>`.
    """
    if not SCOPE.fullmatch(name):
        raise ValueError(f"a scope is <noun>:<verb> or <noun>:*, not {name!r}")
    return _token_rule(TokenRule(scope=name))


def session_only(reason: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: ARG001 - for the reader
    """Mark an endpoint as closed to API tokens, with the reason why."""
    return _token_rule(TokenRule())


def any_credential(reason: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: ARG001 - for the reader
    """Mark an endpoint as open to every API token, whatever its scopes, with the reason why that is right."""
    return _token_rule(TokenRule(any_token=True))


def token_rule(endpoint: object) -> TokenRule | None:
    """Return what an endpoint asks of API tokens; None for one that does not say."""
    rule: TokenRule | None = getattr(endpoint, SCOPE_MARK, None)
    return rule


def _token_rule(rule: TokenRule) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def mark(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        setattr(endpoint, SCOPE_MARK, rule)
        return endpoint

    return mark


def policy(action: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark an endpoint with the action that its caller has to be allowed, such as `task.edit`.

    Which actions there are, and who may, is the service's own; it gives their names to `create_app`.
    """
    return _policy(Policy(action=action))


def no_policy(reason: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: ARG001 - for the reader
    """Mark an endpoint as about the caller alone, or as decided otherwise, with the reason why that is right."""
    return _policy(Policy())


def policy_of(endpoint: object) -> Policy | None:
    """Return what an endpoint's caller has to be allowed; None for one that does not say."""
    found: Policy | None = getattr(endpoint, POLICY_MARK, None)
    return found


def _policy(found: Policy) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def mark(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        setattr(endpoint, POLICY_MARK, found)
        return endpoint

    return mark


def gives_name(*parameters: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark an endpoint by whose path its caller may call something new, with the parameters of the path that are names.

    A name that can't be one is told as a field then. Elsewhere in paths it names nothing, and that is 404.
    """

    def mark(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        setattr(endpoint, NAMES_MARK, frozenset(parameters))
        return endpoint

    return mark


def names_given(request: Request) -> frozenset[str]:
    """Return the parameters of the path by which the request may call something new."""
    found: frozenset[str] = getattr(request.scope.get("endpoint"), NAMES_MARK, frozenset())
    return found


def takes_values(maximum: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark an endpoint whose JSON body may have so many values, rather than as many as others (R29)."""

    def mark(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        setattr(endpoint, VALUES_MARK, maximum)
        return endpoint

    return mark


def max_values_of(endpoint: object) -> int:
    """Return how many values the JSON body of an endpoint may have."""
    found: int = getattr(endpoint, VALUES_MARK, MAX_VALUES)
    return found


def takes_idempotency_key(call: Callable[P, T]) -> Callable[P, T]:
    """Mark a dependency, or an endpoint with a transaction of its own, that applies the Idempotency-Key header."""
    setattr(call, IDEMPOTENT_MARK, True)
    return call


def refuses(*errors: type[AppError]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Mark a dependency with what it refuses by, so that the documents of all who have it tell of that."""

    def mark(call: Callable[P, T]) -> Callable[P, T]:
        setattr(call, REFUSALS_MARK, errors)
        return call

    return mark


def check_query(
    items: Iterable[tuple[str, str]], single: frozenset[str], repeatable: frozenset[str] = frozenset()
) -> None:
    """Raise UnknownParameter or InvalidInput listing every unknown and every repeated parameter."""
    problems = query_problems(items, single, repeatable)
    if problems:
        raise _as_error(problems)


def query_problems(
    items: Iterable[tuple[str, str]], single: frozenset[str], repeatable: frozenset[str]
) -> list[ErrorDetail]:
    """Return every unknown and every repeated parameter, and those with U+0000."""
    known = single | repeatable
    problems: list[ErrorDetail] = []
    seen: set[str] = set()
    for name, value in items:
        if len(problems) == MAX_ERRORS:
            break
        if name not in known:
            # What there is fills an entry, and is the same for all that there is not.
            problems.append(_unknown(name, known, told=any(one.allowed for one in problems)))
        elif name in seen and name in single:
            problems.append(ErrorDetail("REPEATED_PARAMETER", "This parameter may be given only once.", name))
        elif "\0" in value:
            problems.append(ErrorDetail("NULL_CHARACTER", "Text must not contain the character U+0000.", name))
        seen.add(name)
    return problems


def _as_error(problems: list[ErrorDetail]) -> AppError:
    unknown = problems[0].code == UnknownParameter.code
    return UnknownParameter(details=problems) if unknown else InvalidInput(details=problems)


def _unknown(name: str, known: frozenset[str], *, told: bool) -> ErrorDetail:
    return ErrorDetail(
        UnknownParameter.code,
        UnknownParameter.message,
        name,
        hint=hint_at(closest(name, known)),
        allowed=None if told else sorted(known) or None,
    )


def _query_parameters(dependant: Dependant) -> tuple[frozenset[str], frozenset[str]]:
    single: set[str] = set()
    repeatable: set[str] = set()
    for one in all_of(dependant):
        for field in one.query_params:
            is_list = str(field.field_info.annotation).startswith(("list", "tuple", "set"))
            (repeatable if is_list else single).add(field.alias)
    return frozenset(single), frozenset(repeatable)


def all_of(dependant: Dependant) -> Iterator[Dependant]:
    """Yield what a route depends on, and what that depends on, beginning with its endpoint."""
    pending = [dependant]
    while pending:
        current = pending.pop()
        pending.extend(current.dependencies)
        yield current


def _split(items: Iterable[tuple[str, str]], repeatable: frozenset[str]) -> Iterator[tuple[str, str]]:
    for name, value in items:
        yield from ((name, part) for part in (value.split(",") if name in repeatable else (value,)))


def operation_id(route: APIRoute) -> str:
    """Return what a document calls an operation: the name of its function."""
    return route.name


def serve_routes(app: FastAPI, routers: Sequence[fastapi.APIRouter]) -> None:
    """Let an app serve the routes of routers as they are.

    Included, FastAPI would make each of them anew at the first request, with what the app adds to them: nothing here.
    """
    for router in routers:
        app.router.routes.extend(router.routes)


def _need_no_body(body_field: ModelField | None) -> None:
    """Let no body at all be the same as `{}` where no field has to be there."""
    fields = getattr(body_field and body_field.field_info.annotation, "model_fields", None)
    if body_field and fields is not None and not any(one.is_required() for one in fields.values()):
        body_field.field_info.default, body_field.field_info.validate_default = {}, True


def _body_problems(body_field: ModelField | None, request: Request) -> Sequence[Any]:
    if body_field is None or not hasattr(request, "_body"):
        return ()
    if not request._body:  # noqa: SLF001 - where Starlette keeps it
        if body_field.field_info.is_required():
            return [{"type": "missing", "loc": ("body",)}]
        return body_field.validate({}, loc=("body",))[1]
    # A body is without `_json` that was refused before it was looked at.
    return body_field.validate(request._json, loc=("body",))[1] if hasattr(request, "_json") else ()  # noqa: SLF001 - where Starlette keeps it


def _is_form(route: APIRoute) -> bool:
    field_info = route.body_field.field_info if route.body_field else None
    return type(field_info).__name__ in {"Form", "File"}


async def _read_json(request: Request, max_values: int) -> list[ErrorDetail]:
    """Parse the body, and return what its values are refused for. Raises UnsupportedMediaType, MalformedJson."""
    body = await request.body()
    if not body:
        return []
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    try:
        # Starlette keeps a parsed body in `_json`; FastAPI then takes ours instead of parsing a second time.
        request._json = parse_json(body, max_values=max_values)  # noqa: SLF001 - where Starlette keeps it
    except (NullCharacter, NumberOutOfRange) as refusal:
        return list(refusal.details)
    return []
