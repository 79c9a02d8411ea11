"""What a reader asks for: its scopes and filters, in the address that it opens or in messages over a socket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.db.engine import Database
from chassis.db.failures import explain
from chassis.errors import AppError, ErrorDetail, InvalidInput, MalformedJson, NotFound, Unauthenticated
from chassis.filtering.judging import Judge
from chassis.timezones import UnknownTimezone, zone_named
from chassis.web.identity import IdentityCache
from chassis.web.strict_json import parse_json
from chassis.web.validation import FIELD_CODES
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from notifications_service.live.filters import parse
from notifications_service.people.rules import UTC
from notifications_service.people.service import find_people
from notifications_service.realtime.connection import Connection
from notifications_service.realtime.errors import TooManySubscriptions, UnknownMessage
from notifications_service.realtime.protocol import PONG, Frame, refused, subscribed, unsubscribed
from notifications_service.realtime.schemas import Subscribe, Unsubscribe
from notifications_service.realtime.service import TasksClient, find_spot, is_member
from notifications_service.realtime.subscriptions import (
    EVERYTHING,
    MAX_SUBSCRIPTIONS,
    ME,
    Kind,
    Scope,
    Subscription,
    Subscriptions,
)

OF_ONE: frozenset[Kind] = frozenset(("workspace", "project", "task"))
WRONG_SCOPE = ErrorDetail(
    "UNKNOWN_SCOPE",
    "A scope is me, workspace:<id>, project:<id> or task:<id>; several are joined by commas.",
    "scopes",
    allowed=("me", *(f"{kind}:<id>" for kind in get_args(Kind) if kind in OF_ONE)),
)
CODES = {
    "extra_forbidden": "UNKNOWN_FIELD",
    "missing": "REQUIRED",
    "string_too_long": "TOO_LONG",
    "string_too_short": "TOO_SHORT",
    "uuid_parsing": "INVALID_ID",
    "literal_error": "NOT_ALLOWED",
}
SENTENCES = {**FIELD_CODES, "ONE_SCOPE": "Name one of workspace, project, task and me."}
FIELDS = {one.__name__: tuple(one.model_fields) for one in (Subscribe, Unsubscribe)}


class Opening(NamedTuple):
    """What the address says of what a reader wants."""

    scopes: str | None = None
    filter: str | None = None
    tz: str | None = None


@dataclass
class Requests:
    """What one reader asks for, by whom it is and what is known; `zone_name` is where filters take their days from."""

    connection: Connection
    database: Database
    tasks: TasksClient
    identities: IdentityCache
    identity: str
    zone_name: str | None = None

    async def open(self, opening: Opening) -> None:
        """Want what the address says. Raises InvalidInput, NotFound, UnknownTimezone, and the refusals of filters."""
        judge = await self._judge(opening.filter, opening.tz)
        if opening.scopes is None and opening.filter is None:
            return
        scopes = [EVERYTHING] if opening.scopes is None else _parse_scopes(opening.scopes)
        wanted = [await self._found(Subscription(scope, judge=judge)) for scope in scopes]
        self.connection.wanted = Subscriptions(self.connection.user_id, wanted)

    async def answer(self, text: str | bytes) -> Frame | None:
        """Do what a message says, and return the answer; to the gateway there is none."""
        name = None
        try:
            message = _decoded(text)
            name = message.get("id") if isinstance(message.get("id"), str) else None
            return await self._done(message)
        except ValidationError as error:
            return refused(_as_input(error), name)
        except AppError as error:
            return refused(error, name)
        except (SQLAlchemyError, OSError) as error:
            return refused(explain(error), name)

    async def _done(self, message: Mapping[str, Any]) -> Frame | None:
        match message.get("type"):
            case "identity":
                self._take_identity(message.get("identity"))
                return None
            case "ping":
                return PONG
            case "subscribe":
                return await self._subscribe(Subscribe.model_validate(message))
            case "unsubscribe":
                return self._unsubscribe(Unsubscribe.model_validate(message))
        raise UnknownMessage

    def _take_identity(self, told: Any) -> None:
        """Ask others by a new identity of the same caller, which the gateway sends ahead of what may need one.

        Raises UnknownMessage for what no gateway says.
        """
        try:
            principal = self.identities.principal(told if isinstance(told, str) else None)
        except Unauthenticated:
            raise UnknownMessage from None
        if not self.connection.is_of(principal):
            raise UnknownMessage
        self.identity = told

    async def _subscribe(self, asked: Subscribe) -> Frame:
        wanted = self.connection.wanted
        (scope,) = asked.scopes
        judge = await self._judge(asked.filter, asked.tz)
        found = await self._found(Subscription(scope, asked.id, judge))
        if len(wanted) >= MAX_SUBSCRIPTIONS and not _replaces(wanted, found):
            raise TooManySubscriptions
        self.connection.want(found)
        return subscribed(asked.id, self.connection.cursor())

    def _unsubscribe(self, asked: Unsubscribe) -> Frame:
        wanted = self.connection.wanted
        found = wanted.find(name=asked.id, scope=next(iter(asked.scopes), None))
        if not found:
            raise NotFound
        wanted.remove(found)
        return unsubscribed(asked.id or found[0].id)

    async def _found(self, wanted: Subscription) -> Subscription:
        """Return a subscription with its place. Raises NotFound for what is hidden, as for what is not."""
        scope = wanted.scope
        if scope.kind not in OF_ONE:
            return wanted
        known, tasks = self.database, self.tasks
        if scope.kind == "workspace":
            if not await is_member(known, tasks, self.connection, scope=scope, identity=self.identity):
                raise NotFound
            wanted.workspace_id = scope.id
            return wanted
        found = await find_spot(known, tasks, self.connection, scope=scope, identity=self.identity)
        if found is None:
            raise NotFound
        wanted.spot, wanted.is_doubtful = found
        wanted.workspace_id = wanted.spot.workspace_id
        return wanted

    async def _judge(self, filter_: object, tz: str | None) -> Judge | None:
        name = tz or self.zone_name
        zone = None if name is None else zone_named(name)
        if name is not None and zone is None:
            raise UnknownTimezone(field="tz" if tz else "X-Timezone")
        if filter_ is None:
            return None
        return parse(filter_, user_id=self.connection.user_id, zone=zone or await self._own_zone())

    async def _own_zone(self) -> ZoneInfo:
        user = self.connection.user_id
        async with self.database.reader.connect() as reader:
            known = (await find_people(reader, user_ids=[user])).get(user)
        return UTC if known is None else known.zone


def _replaces(wanted: Subscriptions, one: Subscription) -> bool:
    known = wanted.find(name=one.id, scope=one.scope)
    return any(other.id == one.id for other in known)


def _parse_scopes(text: str) -> list[Scope]:
    """Read scopes of an address. Raises InvalidInput, TooManySubscriptions."""
    parts = list(dict.fromkeys(text.split(",")))
    if len(parts) > MAX_SUBSCRIPTIONS:
        raise TooManySubscriptions(field="scopes")
    return [_parse_scope(one.strip()) for one in parts]


def _parse_scope(text: str) -> Scope:
    if text == ME.kind:
        return ME
    kind, _, name = text.partition(":")
    for known in OF_ONE:
        if kind == known and len(name) == len(str(UUID(int=0))):
            try:
                return Scope(known, UUID(name))
            except ValueError:
                break
    raise InvalidInput(details=[WRONG_SCOPE])


def _decoded(text: str | bytes) -> Mapping[str, Any]:
    """Read a message. Raises UnknownMessage, NullCharacter, NumberOutOfRange."""
    try:
        found = parse_json(text.encode(errors="surrogatepass") if isinstance(text, str) else text)
    except MalformedJson:
        raise UnknownMessage from None
    return found if isinstance(found, dict) else {}


def _as_input(error: ValidationError) -> InvalidInput:
    return InvalidInput(details=_details(error.errors(include_url=False, include_input=False), FIELDS[error.title]))


def _details(errors: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[ErrorDetail]:
    found = []
    for one in errors:
        code = CODES.get(one["type"], one["type"] if one["type"] in SENTENCES else "WRONG_TYPE")
        allowed = names if code == "UNKNOWN_FIELD" else None
        found.append(ErrorDetail(code, SENTENCES[code], next(map(str, one["loc"]), None), allowed=allowed))
    return found
