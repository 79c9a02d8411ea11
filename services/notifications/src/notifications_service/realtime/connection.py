"""One reader: what it may see, how far it has come, and what waits to be sent to it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.identity import Principal

from notifications_service.realtime.protocol import (
    ENDING,
    TASK,
    Frame,
    StoredFrame,
    subscription_revoked,
    with_cursor,
)
from notifications_service.realtime.subscriptions import Scope, Subscription, Subscriptions
from notifications_service.sight.rules import part_of
from notifications_service.sight.service import Spot

MAX_WAITING_BYTES = 256 * 1024

Send = Callable[[Frame], Awaitable[None]]


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
        self.ended: Mapping[UUID, int] = {}
        """By workspace that the reader is out of since its cursor, the change that says so, until it is told."""
        self.subscribed: set[UUID] = set()
        """The workspaces whose frames the hub hands to this connection; the hub keeps it."""
        self.wanted = Subscriptions(caller.user_id)
        self.doubtful: set[UUID] = set()
        """Workspaces of which single projects and tasks are wanted that the reader may not see any more."""
        self._signer = signer
        self._waiting: deque[StoredFrame] = deque()
        self._bytes = 0
        self._overflowed = False
        self._goes_back = False
        self._admissions: dict[UUID, Admission] = {}
        self._known: dict[UUID, int] = {}
        self._revoked: dict[UUID, int] = {}
        self._news = asyncio.Event()

    def begin(
        self, admissions: Mapping[UUID, Admission], positions: Mapping[UUID, int], ended: Mapping[UUID, int]
    ) -> None:
        """Set out from these positions, as a member by these admissions, and before the ends of memberships."""
        self.positions = {**positions, **{workspace: seq - 1 for workspace, seq in ended.items()}}
        self.ended = ended
        self._known = {workspace: admission.changed_seq for workspace, admission in admissions.items()}

    def sees(self, workspace: UUID, places: Mapping[UUID, UUID]) -> bool:
        """Tell whether the caller's restriction leaves anything of a workspace; `places` are those of its projects."""
        projects = self._caller.project_ids
        in_project = projects is None or any(places.get(project) == workspace for project in projects)
        return in_project and self._caller.reaches_workspace(workspace)

    def reaches(self, workspace: UUID, project: UUID) -> bool:
        """Tell whether the caller's restriction leaves a project."""
        return self._caller.reaches_workspace(workspace) and self._caller.reaches_project(project)

    def is_of(self, caller: Principal) -> bool:
        """Tell whether a caller is ours, by the same session or API token."""
        return (caller.user_id, caller.session_id) == (self._caller.user_id, self._caller.session_id)

    def cursor(self) -> str:
        """Return the position after everything that was sent."""
        return self._signer.position(self.positions)

    def offer(self, frame: StoredFrame) -> None:
        """Take a frame to be sent. What is more than a reader may leave waiting is not kept.

        What is nothing to a reader for whom nothing waits is dealt with here: nobody has to be woken for it.
        """
        if self._overflowed or self._goes_back:
            return
        if self._lacks_task(frame):
            self._go_back()
            return
        if not self._waiting and self._is_passed_over(frame):
            self.positions[frame.stream_id] = frame.seq
            return
        self._waiting.append(frame)
        self._bytes += len(frame.opening)
        if self._bytes > MAX_WAITING_BYTES and len(self._waiting) > 1:
            self._overflowed = True
            self._forget_waiting()
        self._news.set()

    def _lacks_task(self, frame: StoredFrame) -> bool:
        """Tell whether a frame was read when nobody asked for its task, and somebody does now."""
        return self.wanted.needs_tasks and not frame.is_looked_up

    def _go_back(self) -> None:
        """Let what comes next be read once more, from where we are."""
        self._goes_back = True
        self._forget_waiting()
        self._news.set()

    def takes_up_again(self) -> bool:
        """Tell whether what comes next has to be read once more."""
        return self._goes_back

    def _is_passed_over(self, frame: StoredFrame) -> bool:
        is_next = self.positions.get(frame.stream_id) == frame.seq - 1
        return is_next and not self._raises_doubt(frame) and self._part_of(frame) is None

    def admit(self, workspace: UUID, admission: Admission) -> None:
        """Take the news of a membership, unless the same or a later state of it is known."""
        pending = self._admissions.get(workspace)
        known = (self._known.get(workspace, 0), self._revoked.get(workspace, 0), pending.changed_seq if pending else 0)
        if admission.changed_seq > max(known):
            self._admissions[workspace] = admission
            self._news.set()

    def start_catching_up(self) -> None:
        """Let what comes from now on wait; what is too much is not held against a reader that is catching up."""
        self._overflowed = self._goes_back = False

    def has_caught_up(self) -> bool:
        """End the catching up; False when something that came meanwhile was not kept."""
        return not (self._overflowed or self._goes_back)

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
            if self._lacks_task(frame):
                self._go_back()
                return
            await self.deliver(frame, send)
        if self._overflowed:
            raise TooSlow

    async def deliver(self, frame: StoredFrame, send: Send) -> None:
        """Send one frame, unless the reader has it already or must not see it. Raises TooSlow."""
        before = self.positions.get(frame.stream_id)
        if before is None or frame.seq <= before:
            return
        self.positions[frame.stream_id] = frame.seq
        part = self._part_of(frame)
        if part is not None:
            try:
                await send(with_cursor(frame, part, self.cursor()))
            except TooSlow:
                # It was not sent: whoever goes on from our cursor has still to get it.
                self.positions[frame.stream_id] = before
                raise
        if self._is_revoked_by(frame):
            await self._revoke(frame, send)
        elif self._raises_doubt(frame):
            self._doubt(frame)

    def _part_of(self, frame: StoredFrame) -> bytes | None:
        """Return what of a frame is for this reader: all of it, or that something is gone, or nothing."""
        opening = part_of(frame, self._caller)
        if opening is None:
            return None
        rest = self.wanted.part_of(frame, is_lost=frame.loss is not None and opening is frame.loss.opening)
        return None if rest is None else opening + rest

    def _raises_doubt(self, frame: StoredFrame) -> bool:
        """Tell whether by a frame the reader may have lost what it wants by itself, or its membership."""
        if frame.removed_user == self.user_id:
            return True
        if self.wanted.is_everything or frame.is_personal or not frame.may_end_access:
            return False
        is_for_me = frame.kind not in ENDING or frame.told_user == self.user_id
        return is_for_me and bool(self.wanted.in_workspace(frame.stream_id))

    def _doubt(self, frame: StoredFrame) -> None:
        self.doubtful.add(frame.stream_id)
        project, task = frame.places[0]
        if frame.kind == TASK and project is not None:
            for one in self.wanted.find(name=None, scope=Scope("task", task)):
                one.spot = Spot(frame.stream_id, project, task)

    def want(self, wanted: Subscription) -> None:
        """Want something from here on; whether it is seen is asked once more, since asking took its time."""
        self.wanted.add(wanted)
        if wanted.workspace_id is not None and wanted.is_doubtful:
            self.doubtful.add(wanted.workspace_id)
            self._news.set()

    def take_doubts(self) -> set[UUID]:
        """Return the workspaces of which what is wanted by itself may not be seen any more."""
        doubtful, self.doubtful = self.doubtful, set()
        return doubtful

    async def drop(self, lost: Sequence[Subscription], send: Send) -> None:
        """Say that the reader does not see any more what it wanted, and hand it nothing more of that."""
        self.wanted.remove(lost)
        for one in lost:
            if one.scope.id is not None:
                await send(subscription_revoked(one.scope.kind, one.scope.id, self.cursor(), name=one.id))

    def _is_revoked_by(self, frame: StoredFrame) -> bool:
        """Tell whether the frame ends our membership; one older than the membership that we know is history."""
        return frame.removed_user == self.user_id and frame.seq > self._known.get(frame.stream_id, 0)

    async def _revoke(self, frame: StoredFrame, send: Send) -> None:
        workspace = frame.stream_id
        del self.positions[workspace]
        self._revoked[workspace] = frame.seq
        lost = self.wanted.in_workspace(workspace)
        if not any(one.scope.kind == "workspace" for one in lost):
            await send(subscription_revoked("workspace", workspace, self.cursor()))
        await self.drop(lost, send)

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self._bytes = 0
