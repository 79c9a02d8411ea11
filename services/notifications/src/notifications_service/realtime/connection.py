"""One reader: what it may see, how far it has come, and what waits to be sent to it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from uuid import UUID

from chassis.cursors import CursorSigner

from notifications_service.realtime.protocol import StoredFrame

MAX_WAITING_BYTES = 256 * 1024
SEND_SECONDS = 5.0

Send = Callable[[bytes], Awaitable[None]]


class TooSlow(Exception):
    """The reader does not take its frames in time."""


class Connection:
    """Frames wait here in order; the hub never waits for a reader."""

    def __init__(self, user_id: UUID, signer: CursorSigner, positions: dict[UUID, int]) -> None:
        self.user_id = user_id
        self.positions = positions
        self._signer = signer
        self._waiting: deque[StoredFrame] = deque()
        self._held: deque[StoredFrame] | None = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self.too_slow = False

    def cursor(self) -> str:
        """Return the position after everything that was sent."""
        return self._signer.position(self.positions)

    def may_see(self, frame: StoredFrame) -> bool:
        return frame.workspace_id in self.positions and self.user_id in frame.audience

    def offer(self, frame: StoredFrame) -> None:
        """Take a live frame, behind the replay while there is one."""
        queue = self._waiting if self._held is None else self._held
        queue.append(frame)
        self._bytes += len(frame.opening)
        if self._bytes > MAX_WAITING_BYTES:
            self.too_slow = True
        self._news.set()

    def go_live(self) -> None:
        """End the replay: what was held comes next."""
        if self._held is not None:
            self._waiting.extend(self._held)
            self._held = None
            self._news.set()

    async def write(self, send: Send) -> None:
        """Send what waits, for as long as the socket lives. Raises TooSlow."""
        while True:
            while self._waiting:
                if self.too_slow:
                    raise TooSlow
                frame = self._waiting.popleft()
                self._bytes -= len(frame.opening)
                await self.deliver(frame, send)
            self._news.clear()
            if self.too_slow:
                raise TooSlow
            await self._news.wait()

    async def deliver(self, frame: StoredFrame, send: Send) -> None:
        """Send one frame, unless the reader has it already. Raises TooSlow."""
        if frame.seq <= self.positions.get(frame.workspace_id, frame.seq):
            return
        self.positions[frame.workspace_id] = frame.seq
        if self.may_see(frame):
            await within_time(send(frame.with_cursor(self.cursor())))
        if frame.removed_user == self.user_id:
            self.positions.pop(frame.workspace_id, None)


async def within_time(sending: Awaitable[None]) -> None:
    """Wait for a send, but not for ever. Raises TooSlow."""
    try:
        await asyncio.wait_for(sending, SEND_SECONDS)
    except TimeoutError:
        raise TooSlow from None
