"""What people want to be told. Each use case is part of one transaction that its caller commits."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.digests.rules import next_slot
from notifications_service.kinds import Channel, Kind, KindOrAny
from notifications_service.people.rules import zone_of
from notifications_service.preferences import repository
from notifications_service.preferences.errors import PreferencesVersionConflict, ProjectNotFound, WorkspaceNotFound
from notifications_service.preferences.rules import (
    Decision,
    Line,
    Place,
    Question,
    Wishes,
    decisions,
    holding,
    without_mail,
)
from notifications_service.preferences.schemas import (
    ChannelEffect,
    EffectiveOut,
    PreferenceOut,
    PreferencesOut,
    PreferencesPut,
    as_columns,
    lines_of,
    rhythm_of,
    wishes_of,
)
from notifications_service.scopes import repository as scopes

Reader = AsyncConnection | AsyncSession
NOTHING = Wishes()


async def decide(
    session: Reader, *, questions: Collection[Question], now: datetime
) -> dict[Question, dict[Channel, Decision]]:
    """Return, for each question and channel, how its user is told of something, and when at the earliest.

    `due_at` is now, or the end of the quiet hours that now is in, for what is told `instant`; the inbox knows no quiet
    hours. One statement, whatever the number of users, kinds and places.
    """
    known = await wishes(session, user_ids={one.user_id for one in questions})
    return {
        one: decisions(known.get(one.user_id, NOTHING), kind=one.kind, place=one.place, urgent=one.urgent, now=now)
        for one in questions
    }


async def wishes(session: Reader, *, user_ids: Collection[UUID]) -> dict[UUID, Wishes]:
    """Return what some users have asked for; who never did is left out."""
    return {row["user_id"]: wishes_of(row) for row in await repository.find_many(session, user_ids)}


async def read_preferences(reader: Reader, *, user_id: UUID) -> PreferencesOut:
    """Return what somebody has asked for, without the lines of places out of sight."""
    row = await repository.find(reader, user_id)
    lines = lines_of(row)
    seen = await _seen(reader, lines, user_id)
    shown = [one for one in lines if one.scope_id is None or (one.scope, one.scope_id) in seen]
    return PreferencesOut.of(row, lines=shown)


async def replace_preferences(
    session: AsyncSession, *, user_id: UUID, wanted: PreferencesPut, expected: int | None
) -> PreferencesOut:
    """Put what somebody asks for in place of all that was.

    Raises WorkspaceNotFound, ProjectNotFound, PreferencesVersionConflict.
    """
    await _refuse_hidden(session, wanted, user_id)
    zone = zone_of(await repository.find_zone(session, user_id))
    now = utcnow()
    rhythm = wanted.digest.rhythm(zone)
    values = {**wanted.columns(now), "digest_at": None if rhythm is None else next_slot(rhythm, now).due_at}
    row = await repository.replace(session, user_id=user_id, values=values, expected=expected)
    if row is None:
        current = await read_preferences(session, user_id=user_id)
        raise PreferencesVersionConflict(data={"current": current.model_dump(mode="json")})
    return PreferencesOut.of(row, lines=lines_of(row))


async def turn_off_mail(session: AsyncSession, *, user_id: UUID, kind: KindOrAny) -> None:
    """Tell somebody nothing more of a kind by mail, or with `*` nothing at all; the rest stays as it is."""
    await repository.begin(session, user_id=user_id, updated_at=utcnow())
    row = await repository.find(session, user_id, lock=True)
    before = lines_of(row)
    after = without_mail(before, kind)
    if row is not None and set(after) != set(before):
        values = {"lines": as_columns(after), "updated_at": utcnow()}
        await repository.replace(session, user_id=user_id, values=values, expected=row["version"])


async def turn_off_digest(session: AsyncSession, *, user_id: UUID) -> None:
    """Send somebody no more digests."""
    row = await repository.find(session, user_id, lock=True)
    if row is None or rhythm_of(row) is None:
        return
    values = {"digest": {**row["digest"], "frequency": "off"}, "digest_at": None, "updated_at": utcnow()}
    await repository.replace(session, user_id=user_id, values=values, expected=row["version"])


async def explain(
    reader: Reader, *, user_id: UUID, kind: Kind, workspace_id: UUID | None, project_id: UUID | None, now: datetime
) -> EffectiveOut:
    """Tell how somebody would be told of something now, and why. Raises WorkspaceNotFound, ProjectNotFound."""
    place = await _seen_place(reader, user_id, workspace_id, project_id)
    row = await repository.find(reader, user_id)
    wishes = NOTHING if row is None else wishes_of(row)
    decided = decisions(wishes, kind=kind, place=place, urgent=False, now=now)
    # What is not in the inbox is told nowhere else: then its line is what counts on each channel.
    is_told = decided["inbox"].mode != "off"
    effects = [
        _effect(
            channel,
            one if is_told else decided["inbox"],
            holding(wishes.lines, kind=kind, channel=channel if is_told else "inbox", place=place),
            now,
        )
        for channel, one in decided.items()
    ]
    return EffectiveOut(kind=kind, workspace_id=place.workspace_id, project_id=place.project_id, channels=effects)


def _effect(channel: Channel, decision: Decision, line: Line | None, now: datetime) -> ChannelEffect:
    at_once = decision.mode == "instant"
    return ChannelEffect(
        channel=channel,
        mode=decision.mode,
        source="default" if line is None else "preference",
        preference=None if line is None else PreferenceOut.of(line),
        due_at=decision.due_at if at_once else None,
        waits_for_quiet_hours=at_once and decision.due_at > now,
    )


async def _seen_place(reader: Reader, user_id: UUID, workspace_id: UUID | None, project_id: UUID | None) -> Place:
    asked = [one for one in (workspace_id, project_id) if one is not None]
    seen = await scopes.find(reader, asked, user_id=user_id) if asked else {}
    if workspace_id is not None and ("workspace", workspace_id) not in seen:
        raise WorkspaceNotFound(field="workspace_id")
    if project_id is None:
        return Place(workspace_id)
    project = seen.get(("project", project_id))
    if project is None or workspace_id not in {None, project.workspace_id}:
        raise ProjectNotFound(field="project_id")
    return Place(project.workspace_id, project_id)


async def _refuse_hidden(session: AsyncSession, wanted: PreferencesPut, user_id: UUID) -> None:
    """Raise WorkspaceNotFound or ProjectNotFound for the first line of a place that the user does not see."""
    lines = [one.line() for one in wanted.preferences]
    seen = await _seen(session, lines, user_id)
    for number, line in enumerate(lines):
        if line.scope_id is not None and (line.scope, line.scope_id) not in seen:
            refusal = WorkspaceNotFound if line.scope == "workspace" else ProjectNotFound
            raise refusal(field=f"preferences.{number}.scope.id")


async def _seen(reader: Reader, lines: Iterable[Line], user_id: UUID) -> dict[scopes.Key, scopes.Scope]:
    """Return the places of some lines that a user sees."""
    asked = {one.scope_id for one in lines if one.scope_id is not None}
    return await scopes.find(reader, asked, user_id=user_id) if asked else {}


async def follow_zone(session: AsyncSession, *, user_id: UUID) -> None:
    """Let the next digest be due by the zone that the profile has now."""
    row = await repository.find(session, user_id, lock=True)
    rhythm = None if row is None else rhythm_of(row)
    if rhythm is not None:
        await repository.set_digest_at(session, user_id=user_id, digest_at=next_slot(rhythm, utcnow()).due_at)


async def note_next_digest(session: AsyncSession, *, user_id: UUID, due_at: datetime | None) -> None:
    """Note when somebody's next digest is due."""
    await repository.set_digest_at(session, user_id=user_id, digest_at=due_at)


async def forget_preferences(session: AsyncSession, *, user_id: UUID) -> None:
    """Forget what somebody who is gone has asked for."""
    await repository.remove(session, user_id)
