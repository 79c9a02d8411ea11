"""One socket that passes: bytes from transport to transport, and the few words that are the gateway's own (R54)."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from chassis.errors import AppError, Unauthenticated
from chassis.secret_tokens import API_TOKEN
from websockets.frames import Opcode

from gateway.auth import Authenticator
from gateway.callers import Caller
from gateway.errors import InvalidToken
from gateway.frames import (
    ClientFrames,
    Message,
    MessageTooLarge,
    ServiceFrames,
    client_frame,
    close_frame,
    text_frame,
)
from gateway.live import LiveConnection, LiveConnections, auth_expiring, expires_at
from gateway.upstream_socket import ServiceEnd

log = structlog.get_logger()

POLICY = 1008
TOO_LARGE = 1009
RESTARTING = 1012
TRY_AGAIN = 1013
UNAUTHORIZED = 4401
MESSAGES_PER_SECOND = 20
BLOCKED_SECONDS = 10.0
"""How long nothing is read before the socket ends. After 5 the service says where to go on from, for who reads on."""
UNREAD_SECONDS = 20.0
"""How long what was sent to somebody who did not read waits for being read after all, the close frame behind it."""
CLOSE_SECONDS = 1.0
CLOSE_ANSWER_SECONDS = 5.0
SPREAD_SECONDS = 5.0
"""Over how long clients that all lose their sockets at once should come back."""
MAX_OWN = 8 * 1024
TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105 - a code
REFUSED = "This is no access token in force of the same user and session."

RENEWING: set[asyncio.Task[None]] = set()


class PassedSocket(LiveConnection, asyncio.Protocol):
    """The client's end of a socket; the service's end is given to it when both are open."""

    kind = "socket"
    __slots__ = (
        "_authenticator",
        "_blocked",
        "_blocked_seconds",
        "_client",
        "_count",
        "_deadline",
        "_from_client",
        "_from_service",
        "_last",
        "_live",
        "_on_lost",
        "_own",
        "_second",
        "_service",
        "ended",
        "transport",
    )

    def __init__(self, caller: Caller, live: LiveConnections, authenticator: Authenticator, client: str) -> None:
        super().__init__(caller.token)
        self.transport: asyncio.Transport
        self.ended: str | None = None
        """Why it must end, as long as it is not open."""
        self._live = live
        self._authenticator = authenticator
        self._client = client
        self._service: ServiceEnd | None = None
        self._from_client = ClientFrames()
        self._from_service = ServiceFrames()
        self._own = b""
        """What we have to say after the next message of the service."""
        self._last: bytes | None = None
        """Our close frame, once we end the socket; empty when it has been sent."""
        self._second, self._count = 0.0, 0
        self._deadline: asyncio.TimerHandle | None = None
        self._blocked: asyncio.TimerHandle | None = None
        self._blocked_seconds = BLOCKED_SECONDS
        self._on_lost: Callable[[], None] | None = None

    @property
    def is_open(self) -> bool:
        return self._service is not None and self._last is None and not self.transport.is_closing()

    def begin(self, transport: asyncio.Transport, *, blocked_seconds: float, on_lost: Callable[[], None]) -> None:
        """Take over the client's transport; `on_lost` is called when it is gone."""
        self.transport = transport
        self._blocked_seconds = min(BLOCKED_SECONDS, blocked_seconds)
        self._on_lost = on_lost
        transport.set_protocol(self)

    def open(self, service: ServiceEnd, *, early: bytes) -> None:
        """Begin to pass; `early` is what the client has sent already."""
        self._service = service
        self._live.watch(self)
        service.speak_to(self)
        if early:
            self.data_received(early)
        if not self.transport.is_closing():
            self.transport.resume_reading()

    # What the gateway itself wants of it.

    def warn(self) -> None:
        """Say that the token expires."""
        self._say(auth_expiring(self.token))

    def end(self, reason: str) -> None:
        """Close it as one whose session is over."""
        self.ended = reason
        if self._service is not None:
            self._close(UNAUTHORIZED, reason)

    def shutdown(self) -> None:
        """Close it because this process ends."""
        self._close(RESTARTING, come_again())

    # What the client does.

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._from_client.take(data)
        except MessageTooLarge:
            self._close(TOO_LARGE, "message too large")
            return
        onward = b"".join([self._vouched(message) for message in messages if self._goes_on(message)])
        if onward and self._service is not None and self._last is None:
            self._service.transport.write(onward)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it is called
        self._live.leave(self)
        for timer in (self._deadline, self._blocked):
            if timer is not None:
                timer.cancel()
        if self._on_lost is not None:
            self._on_lost()
        if self._service is not None:
            end_soon(self._service.transport)
            self._service = None

    def pause_writing(self) -> None:
        if self._service is not None and not self._service.transport.is_closing():
            self._service.transport.pause_reading()
        self._blocked = self._later(self._blocked_seconds, self._give_up)

    def resume_writing(self) -> None:
        if self._blocked is not None:
            self._blocked.cancel()
            self._blocked = None
        if self._service is not None and not self._service.transport.is_closing():
            self._service.transport.resume_reading()

    # What the service does.

    def from_service(self, data: bytes) -> None:
        """Pass on what it sends."""
        if self._last == b"" or self.transport.is_closing():
            return
        # Once we end the socket, the frame that is under way is the last one.
        end = None if self._last is None else self._from_service.end_of_frame(data)
        self.transport.write(data[:end])
        self._from_service.follow(data[:end])
        if self._own:
            self._say_own()
        if self._last is not None:
            self._say_last()

    def service_is_gone(self) -> None:
        """End as it has ended."""
        self._service = None
        if self._from_service.has_closed:
            self.transport.close()
        elif not self._from_service.between_frames:
            self.transport.abort()
        else:
            self._close(RESTARTING, come_again())

    def service_is_full(self, *, full: bool) -> None:
        """Have the client wait while the service does not read."""
        if self.transport.is_closing():
            return
        if full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _goes_on(self, message: Message) -> bool:
        """Tell whether a message is for the service, and deal with what is not."""
        if self._last is not None:
            if message.opcode == Opcode.CLOSE:
                self.transport.close()
            return False
        if message.opcode == Opcode.CLOSE:
            # The service answers it, and that ends both; it has not for ever to do so.
            self._deadline = self._deadline or self._later(CLOSE_ANSWER_SECONDS, self.transport.abort)
            return True
        if self._is_too_fast():
            self._close(POLICY, "too many messages")
            return False
        token = new_token(message)
        if token is None:
            return True
        task = asyncio.create_task(self._renew(token))
        RENEWING.add(task)
        task.add_done_callback(RENEWING.discard)
        return False

    def _vouched(self, message: Message) -> bytes:
        """Return a message for the service; one that subscribes is led by who asks, since the service may ask others.

        The identity that the socket was opened with holds for a minute, and the socket much longer.
        """
        if told(message, "subscribe") is None:
            return message.raw
        identity = self._authenticator.vouch_for(self.token.principal)
        return client_frame(orjson.dumps({"type": "identity", "identity": identity})) + message.raw

    def _is_too_fast(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._second >= 1:
            self._second, self._count = now, 0
        self._count += 1
        return self._count > MESSAGES_PER_SECOND

    async def _renew(self, token: str) -> None:
        """Go on with a new token of the same session; with any other, go on to the end of the one that there is."""
        try:
            caller = await self._caller_of(token)
        except AppError as refusal:
            code = TOKEN_INVALID if isinstance(refusal, Unauthenticated) else refusal.details[0].code
            log.warning("socket.refresh_refused", code=code, detail=refusal.log_detail)
            self._say({"type": "error", "code": code, "message": REFUSED if code == TOKEN_INVALID else str(refusal)})
            return
        if self.is_open:
            self.token = caller.token
            self._say({"type": "refreshed", "expires_at": expires_at(caller.token)})
            self._live.watch(self)

    async def _caller_of(self, token: str) -> Caller:
        if token.startswith(API_TOKEN.prefix) or not self.token.principal.is_session:
            raise InvalidToken(log_detail="API tokens are not refreshed")
        caller = await self._authenticator.authenticate(f"Bearer {token}", client=self._client)
        new, old = caller.token.principal, self.token.principal
        if (new.user_id, new.session_id) != (old.user_id, old.session_id):
            raise InvalidToken(log_detail="of another user or session")
        return caller

    def _say(self, message: dict[str, Any]) -> None:
        frame = text_frame(orjson.dumps(message))
        if len(self._own) + len(frame) <= MAX_OWN:
            self._own += frame
        self._say_own()

    def _say_own(self) -> None:
        """Say what we have to say, if the service is not in the middle of a message; it has the first word, too."""
        followed = self._from_service
        if followed.has_spoken and followed.between_messages and not followed.has_closed and self.is_open:
            self.transport.write(self._own)
            self._own = b""

    def _give_up(self) -> None:
        """Hold the service up no longer; whoever reads on learns why after what is there already."""
        self._deadline = self._deadline or self._later(UNREAD_SECONDS, self.transport.abort)
        self._close(TRY_AGAIN, "too slow")
        if self._service is not None and not self._service.transport.is_closing():
            # The frame that is under way has to end before ours.
            self._service.transport.resume_reading()

    def _close(self, code: int, reason: str) -> None:
        if self._last is not None:
            return
        if self._from_service.has_closed:
            self.transport.close()
            return
        self._last = close_frame(code, reason)
        self._deadline = self._deadline or self._later(CLOSE_SECONDS, self.transport.abort)
        self._say_last()

    def _say_last(self) -> None:
        """Send our close frame, if the service is not in the middle of a frame, and let the service go."""
        if not self._last or not self._from_service.between_frames:
            return
        if not self.transport.is_closing():
            self.transport.write(self._last)
            self.transport.resume_reading()
        self._last = b""
        service, self._service = self._service, None
        if service is not None:
            service.transport.abort()

    def _later(self, seconds: float, work: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, work)


def told(message: Message, kind: str) -> dict[str, Any] | None:
    """Return what a message of a kind says, however it is spelled; None for all other messages."""
    text = message.text
    if message.opcode not in (Opcode.TEXT, Opcode.BINARY) or (kind.encode() not in text and b"\\u" not in text):
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and found.get("type") == kind else None


def new_token(message: Message) -> str | None:
    """Return the access token of a `refresh`; None for all other messages."""
    found = told(message, "refresh")
    if found is None:
        return None
    token = found.get("access_token")
    return token if isinstance(token, str) else ""


def come_again() -> str:
    """Return the reason of a restart: when to come again, in seconds, so that not all come at once (R54)."""
    return f"service restarting; retry_after={random.uniform(0, SPREAD_SECONDS):.1f}"


def end_soon(transport: asyncio.Transport) -> None:
    """Close a transport; what it has not got rid of by then is not sent."""
    transport.close()
    asyncio.get_running_loop().call_later(CLOSE_SECONDS, transport.abort)
