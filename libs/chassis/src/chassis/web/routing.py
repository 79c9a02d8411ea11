"""The route class of every API: strict JSON bodies and strict query parameters before FastAPI sees them.

This is FastAPI's documented way to replace the parsing of a request; it does nothing else.
"""

import re
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from chassis.errors import AppError, ErrorDetail, InvalidInput, UnknownParameter
from chassis.web.strict_json import check_content_type, parse_json
from chassis.web.validation import MAX_ERRORS, closest

P = ParamSpec("P")
T = TypeVar("T")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Answering = Callable[[Request, Handler], Coroutine[Any, Any, Response]]

PUBLIC_MARK = "__public_reason__"
IDEMPOTENT_MARK = "__takes_idempotency_key__"
SCOPE_MARK = "__scope__"
POLICY_MARK = "__policy__"
REFUSALS_MARK = "__refusals__"
SCOPE = re.compile(r"[a-z]+:(?:[a-z]+|\*)")


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

    A service may say by `state.answers_by` how handlers are called (chassis.web.repeating).
    """

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        single, repeatable = _query_parameters(self.dependant)
        takes_json = self.body_field is not None and not _is_form(self)

        async def handle_strictly(request: Request) -> Response:
            check_query(request.query_params.multi_items(), single, repeatable)
            if takes_json:
                await _read_json(request)
            answer: Answering | None = getattr(request.app.state, "answers_by", None)
            return await (handle(request) if answer is None else answer(request, handle))

        return handle_strictly


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
    known = single | repeatable
    problems: list[ErrorDetail] = []
    seen: set[str] = set()
    for name, value in items:
        if len(problems) == MAX_ERRORS:
            break
        if name not in known:
            problems.append(_unknown(name, known))
        elif name in seen and name in single:
            problems.append(ErrorDetail("REPEATED_PARAMETER", "This parameter may be given only once.", name))
        elif "\0" in value:
            problems.append(ErrorDetail("NULL_CHARACTER", "Text must not contain the character U+0000.", name))
        seen.add(name)
    if problems:
        raise _as_error(problems)


def _as_error(problems: list[ErrorDetail]) -> AppError:
    unknown = problems[0].code == UnknownParameter.code
    return UnknownParameter(details=problems) if unknown else InvalidInput(details=problems)


def _unknown(name: str, known: frozenset[str]) -> ErrorDetail:
    guess = closest(name, known)
    hint = f"did you mean {guess}?" if guess else None
    return ErrorDetail(UnknownParameter.code, UnknownParameter.message, name, hint=hint, allowed=sorted(known) or None)


def _query_parameters(dependant: Dependant) -> tuple[frozenset[str], frozenset[str]]:
    single: set[str] = set()
    repeatable: set[str] = set()
    pending = [dependant]
    while pending:
        current = pending.pop()
        pending.extend(current.dependencies)
        for field in current.query_params:
            is_list = str(field.field_info.annotation).startswith(("list", "tuple", "set"))
            (repeatable if is_list else single).add(field.alias)
    return frozenset(single), frozenset(repeatable)


def _is_form(route: APIRoute) -> bool:
    field_info = route.body_field.field_info if route.body_field else None
    return type(field_info).__name__ in {"Form", "File"}


async def _read_json(request: Request) -> None:
    body = await request.body()
    if not body:
        return
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    # Starlette keeps a parsed body in `_json`; FastAPI then takes ours instead of parsing a second time.
    request._json = parse_json(body)  # noqa: SLF001
