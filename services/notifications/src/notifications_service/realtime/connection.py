"""One reader: what it may see, how far it has come, and what waits to be sent to it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.identity import Principal

from notifications_service.realtime.protocol import StoredFrame, subscription_revoked, with_cursor
from notifications_service.sight.rules import part_of

MAX_WAITING_BYTES = 256 * 1024

Send = Callable[[bytes], Awaitable[None]]


class TooSlow(Exception):
    """The reader does not take its frames in time."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A membership: its workspace is visible from change `joined_seq` on; the last change of it was `changed_seq`."""

    joined_seq: int
    changed_seq: int


class Connection:
    """Frames wait here in order; the hub never waits for a reader, and only the reader's own task moves it on."""

    def __init__(self, caller: Principal, signer: CursorSigner) -> None:
        self.user_id = caller.user_id
        self.projects = caller.project_ids or frozenset()
        """The projects that an API token is restricted to; none of a caller without that restriction."""
        self._caller = caller
        self.positions: dict[UUID, int] = {}
        """By workspace, and for the user's own stream by the user's id, the last change that was dealt with."""
        self.subscribed: set[UUID] = set()
        """The workspaces whose frames the hub hands to this connection; the hub keeps it."""
        self._signer = signer
        self._waiting: deque[StoredFrame] = deque()
        self._bytes = 0
        self._overflowed = False
        self._admissions: dict[UUID, Admission] = {}
        self._known: dict[UUID, int] = {}
        self._revoked: dict[UUID, int] = {}
        self._news = asyncio.Event()

    def begin(self, admissions: Mapping[UUID, Admission], positions: Mapping[UUID, int]) -> None:
        """Set out from these positions, as a member by these admissions."""
        self.positions = dict(positions)
        self._known = {workspace: admission.changed_seq for workspace, admission in admissions.items()}

    def sees(self, workspace: UUID, places: Mapping[UUID, UUID]) -> bool:
        """Tell whether the caller's restriction leaves anything of a workspace; `places` are those of its projects."""
        projects = self._caller.project_ids
        in_project = projects is None or any(places.get(project) == workspace for project in projects)
        return in_project and self._caller.reaches_workspace(workspace)

    def cursor(self) -> str:
        """Return the position after everything that was sent."""
        return self._signer.position(self.positions)

    def offer(self, frame: StoredFrame) -> None:
        """Take a frame to be sent. What is more than a reader may leave waiting is not kept."""
        if self._overflowed:
            return
        self._waiting.append(frame)
        self._bytes += len(frame.opening)
        if self._bytes > MAX_WAITING_BYTES and len(self._waiting) > 1:
            self._overflowed = True
            self._forget_waiting()
        self._news.set()

    def admit(self, workspace: UUID, admission: Admission) -> None:
        """Take the news of a membership, unless the same or a later state of it is known."""
        pending = self._admissions.get(workspace)
        known = (self._known.get(workspace, 0), self._revoked.get(workspace, 0), pending.changed_seq if pending else 0)
        if admission.changed_seq > max(known):
            self._admissions[workspace] = admission
            self._news.set()

    def start_catching_up(self) -> None:
        """Let what comes from now on wait; what is too much is not held against a reader that is catching up."""
        self._overflowed = False

    def has_caught_up(self) -> bool:
        """End the catching up; False when something that came meanwhile was not kept."""
        return not self._overflowed

    def take_admissions(self) -> list[UUID]:
        """Take in what was heard of memberships; return the workspaces that are new, with their positions set."""
        admissions, self._admissions = self._admissions, {}
        new = [workspace for workspace in admissions if workspace not in self.positions]
        for workspace, admission in admissions.items():
            self._known[workspace] = max(admission.changed_seq, self._known.get(workspace, 0))
        for workspace in new:
            self.positions[workspace] = max(admissions[workspace].joined_seq - 1, self._revoked.get(workspace, 0))
        return new

    async def news(self) -> None:
        """Wait until there is something to do."""
        await self._news.wait()
        self._news.clear()

    async def flush(self, send: Send) -> None:
        """Send what waits. Raises TooSlow."""
        while self._waiting:
            frame = self._waiting.popleft()
            self._bytes -= len(frame.opening)
            await self.deliver(frame, send)
        if self._overflowed:
            raise TooSlow

    async def deliver(self, frame: StoredFrame, send: Send) -> None:
        """Send one frame, unless the reader has it already or must not see it. Raises TooSlow."""
        before = self.positions.get(frame.stream_id)
        if before is None or frame.seq <= before:
            return
        self.positions[frame.stream_id] = frame.seq
        opening = part_of(frame, self._caller)
        if opening is not None:
            try:
                await send(with_cursor(opening, self.cursor()))
            except TooSlow:
                # It was not sent: whoever goes on from our cursor has still to get it.
                self.positions[frame.stream_id] = before
                raise
        if self._is_revoked_by(frame):
            await self._revoke(frame, send)

    def _is_revoked_by(self, frame: StoredFrame) -> bool:
        """Tell whether the frame ends our membership; one older than the membership that we know is history."""
        return frame.removed_user == self.user_id and frame.seq > self._known.get(frame.stream_id, 0)

    async def _revoke(self, frame: StoredFrame, send: Send) -> None:
        del self.positions[frame.stream_id]
        self._revoked[frame.stream_id] = frame.seq
        await send(subscription_revoked(frame.stream_id, self.cursor()))

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self._bytes = 0
