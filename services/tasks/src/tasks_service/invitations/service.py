"""Asking people into workspaces by mail. Whoever invites has been found to manage the members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from chassis.addresses import EmailAddress, parse_email
from chassis.clock import utcnow
from chassis.db.row_security import beyond_memberships, reaches_beyond_memberships
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from chassis.secret_tokens import token_digest
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.changes import repository as changes_repository
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.invitations import repository
from tasks_service.invitations.errors import (
    AddressUnconfirmed,
    EmailInvalid,
    InvitationExpired,
    InvitationForAnotherAddress,
    InvitationMissing,
    TooManyInvitations,
    TooManyMails,
)
from tasks_service.invitations.events import (
    INVITATION_CREATED,
    INVITATION_DELETED,
    INVITATION_UPDATED,
    Letter,
    invitation_changed,
    request_mail,
)
from tasks_service.invitations.rules import (
    ACCEPTED,
    DECLINED,
    HOUR,
    MAILS_EACH,
    MAILS_PER_HOUR,
    MAILS_TO_ADDRESS,
    MOST_OPEN,
    PAUSE,
    PENDING,
    REVOKED,
    new_token,
)
from tasks_service.invitations.schemas import InvitationCreate, InvitationOut, ProjectGrant
from tasks_service.project_members.events import project_member_added
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks.errors import ProjectNotFound
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation
from tasks_service.workspaces import repository as workspaces
from tasks_service.workspaces.errors import PersonalWorkspace
from tasks_service.workspaces.events import member_added
from tasks_service.workspaces.service import lock_standing

KIND = versions.Kind(repository.invitation, InvitationOut.of, field_of={})


@dataclass(frozen=True, slots=True)
class InvitationTerms:
    """How long an invitation counts, and what seals its token on the way."""

    lifetime: timedelta
    ring: KeyRing


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where invitations of one workspace are written, by whom, and on what terms; nobody else invites meanwhile."""

    session: AsyncSession
    workspace: RowMapping
    actor: Principal
    terms: InvitationTerms
    now: datetime


async def invite(
    session: AsyncSession, *, workspace: RowMapping, wanted: InvitationCreate, actor: Principal, terms: InvitationTerms
) -> tuple[RowMapping, bool]:
    """Ask an address into a workspace; return the invitation, and whether it is new.

    An address that is asked already keeps its invitation, with the new role and projects. Whether it has an account, or
    is a member, is not looked at. Raises PersonalWorkspace, EmailInvalid, ProjectNotFound, ProjectArchived,
    TooManyInvitations, TooManyMails.
    """
    address = parse_email(wanted.email)
    if address is None:
        raise EmailInvalid(field="email")
    desk = await _open_desk(session, workspace, actor, terms)
    await _require_projects(desk, wanted.projects)
    found = await repository.lock_pending(session, workspace["id"], address=address.canonical)
    if found is None:
        return await _add(desk, address, wanted), True
    given = {"role": wanted.role, "projects": _stored(wanted.projects)}
    return await _renew(desk, found, {name: value for name, value in given.items() if found[name] != value}), False


async def resend(
    session: AsyncSession, *, workspace: RowMapping, invitation_id: UUID, actor: Principal, terms: InvitationTerms
) -> RowMapping:
    """Send another mail, whose link counts from now on instead of the one before; within a minute send nothing.

    Whoever does so is the inviter from then on. Raises PersonalWorkspace, InvitationMissing, TooManyInvitations,
    TooManyMails.
    """
    desk = await _open_desk(session, workspace, actor, terms)
    found = await repository.lock_pending(session, workspace["id"], invitation_id=invitation_id)
    if found is None:
        raise InvitationMissing
    return await _renew(desk, found, {})


async def revoke(
    session: AsyncSession, *, workspace: RowMapping, invitation_id: UUID, expected: Expectation, actor: Principal
) -> RowMapping:
    """Make an invitation void, and return it. Raises InvitationMissing, and what versions.service.change raises."""

    async def read() -> RowMapping:
        row = await repository.find_pending(session, workspace["id"], invitation_id)
        if row is None:
            raise InvitationMissing
        return cast("RowMapping", {**row, "require_if_match": workspace["require_if_match"]})

    pending = await read()
    changed = await versions.change(
        session, KIND, pending, wanted={"state": REVOKED}, expected=expected, read_again=read
    )
    if changed is None:
        return pending
    draft = invitation_changed(INVITATION_DELETED, changed.before, changed.after)
    await changes.record(session, workspace_id=workspace["id"], actor=actor, drafts=[draft])
    return changed.after


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What somebody is a member of by an invitation: the role in the workspace, and projects with the role in each."""

    workspace_id: UUID
    workspace_name: str
    role: str
    projects: Mapping[UUID, str]


@reaches_beyond_memberships("the invited is no member yet")
async def accept(session: AsyncSession, *, token: str, caller: Principal) -> Acceptance:
    """Make the caller a member, and use the invitation up: workspace and projects in one transaction.

    Whoever is a member already keeps the role, and of projects, too. Projects that are gone are left out. Whether the
    inviter may still give this is decided under the lock of the workspace, as their end is. Raises InvitationMissing,
    AddressUnconfirmed, InvitationForAnotherAddress, InvitationExpired.
    """
    found = await _addressed(session, token, caller)
    workspace_id = found["workspace_id"]
    if await workspaces.lock(session, workspace_id) is None:
        raise InvitationMissing
    settled = {"state": ACCEPTED, "accepted_by": caller.user_id}
    row = await _settle(session, found, settled)
    wanted = {UUID(one["project_id"]): str(one["role"]) for one in row["projects"]}
    there = await repository.hold_projects(session, workspace_id, wanted) if wanted else set()
    roles = {one: role for one, role in wanted.items() if one in there}
    role, drafts = await _join(session, row, roles, caller)
    drafts = [*drafts, invitation_changed(INVITATION_UPDATED, found, row)]
    await changes.record(session, workspace_id=workspace_id, actor=caller, drafts=drafts)
    return Acceptance(workspace_id, found["name"], role, roles)


@reaches_beyond_memberships("the invited is no member")
async def decline(session: AsyncSession, *, token: str, caller: Principal) -> None:
    """Make the caller's invitation void. Raises what `accept` raises."""
    found = await _addressed(session, token, caller)
    row = await _settle(session, found, {"state": DECLINED})
    draft = invitation_changed(INVITATION_UPDATED, found, row)
    await changes.record(session, workspace_id=row["workspace_id"], actor=caller, drafts=[draft])


async def find_link(reader: AsyncConnection, token: str) -> RowMapping:
    """Return the pending invitation of a mailed token, with the `name` of its workspace, whoever asks.

    Raises InvitationMissing, InvitationExpired.
    """
    found = await repository.find_by_token(reader, token_digest(token))
    if found is None:
        raise InvitationMissing
    if found["expires_at"] <= utcnow():
        raise InvitationExpired
    return found


async def _addressed(session: AsyncSession, token: str, caller: Principal) -> RowMapping:
    """Return the pending invitation of a token, which is for an address that the caller has confirmed.

    The caller's account stays as it is until the end, so that one that is deleted meanwhile leaves what it joins.
    """
    found = await repository.find_by_token(session, token_digest(token))
    if found is None:
        raise InvitationMissing
    person = await repository.hold_person(session, caller.user_id)
    if person is None or not person["email_verified"]:
        # Before the addresses are compared: nobody learns whom a token is for by an account that is not theirs.
        raise AddressUnconfirmed
    if person["email_canonical"] != found["email_canonical"]:
        raise InvitationForAnotherAddress
    if found["expires_at"] <= utcnow():
        raise InvitationExpired
    return found


async def _settle(session: AsyncSession, found: RowMapping, values: Mapping[str, Any]) -> RowMapping:
    row = await repository.settle(session, token_hash=found["token_hash"], values=values)
    if row is None:
        raise InvitationMissing
    return row


async def _join(
    session: AsyncSession, row: RowMapping, roles: Mapping[UUID, str], caller: Principal
) -> tuple[str, list[ChangeDraft]]:
    """Add the memberships that are new; return the role in the workspace, and the changes to record."""
    workspace_id, user_id = row["workspace_id"], caller.user_id
    first = await changes_repository.lock_next_number(session, workspace_id)
    member = {
        "id": uuid7(),
        "workspace_id": workspace_id,
        "user_id": user_id,
        "role": row["role"],
        "joined_seq": first,
        "version": 1,
        "created_at": utcnow(),
    }
    added = await workspaces.add_new_member(session, member)
    joined = await repository.add_to_projects(session, workspace_id=workspace_id, user_id=user_id, roles=roles)
    # The first one has the number that the member sees the log from.
    drafts = [*([] if added is None else [member_added(added)]), *map(project_member_added, joined)]
    if added is not None:
        return row["role"], drafts
    return await repository.role_in(session, workspace_id=workspace_id, user_id=user_id), drafts


async def forget_person(session: AsyncSession, *, user_id: UUID, address: str | None) -> Sequence[RowMapping]:
    """Delete the invitations of somebody who is gone; return those of them that were pending, to be told of."""
    return await repository.forget(session, user_id=user_id, address=address)


async def tell_forgotten(session: AsyncSession, *, forgotten: Sequence[RowMapping], actor: Principal) -> None:
    """Record that pending invitations are gone."""
    for row in sorted(forgotten, key=lambda one: cast("UUID", one["workspace_id"])):
        gone = cast("RowMapping", {**row, "state": REVOKED, "version": row["version"] + 1})
        draft = invitation_changed(INVITATION_DELETED, row, gone)
        await changes.record(session, workspace_id=row["workspace_id"], actor=actor, drafts=[draft])


async def _open_desk(session: AsyncSession, workspace: RowMapping, actor: Principal, terms: InvitationTerms) -> _Desk:
    if workspace["personal_owner_id"] is not None:
        raise PersonalWorkspace
    await repository.lock_inviter(session, actor.user_id)
    standing = await lock_standing(session, workspace_id=workspace["id"], users=[actor.user_id])
    standing.require(actor, "workspace.manage_members")
    return _Desk(session, workspace, actor, terms, utcnow())


async def _require_projects(desk: _Desk, grants: Sequence[ProjectGrant]) -> None:
    """Raise ProjectNotFound or ProjectArchived unless all these are projects that take members."""
    if not grants:
        return
    wanted = [one.project_id for one in grants]
    workspace_id = desk.workspace["id"]
    found = await repository.find_projects(
        desk.session, caller=desk.actor, workspace_id=workspace_id, project_ids=wanted
    )
    for place, one in enumerate(wanted):
        if one not in found:
            raise ProjectNotFound(field=f"projects.{place}.project_id")
    if any(row["archived_at"] is not None for row in found.values()):
        raise ProjectArchived


async def _add(desk: _Desk, address: EmailAddress, wanted: InvitationCreate) -> RowMapping:
    usage = await _usage(desk, address.canonical)
    _refuse_too_many(usage)
    now, token = desk.now, new_token()
    is_mailed = usage["to_address"] < MAILS_TO_ADDRESS
    values: dict[str, Any] = {
        "id": uuid7(),
        "workspace_id": desk.workspace["id"],
        "email": address.display,
        "email_canonical": address.canonical,
        "role": wanted.role,
        "projects": _stored(wanted.projects),
        "token_hash": token_digest(token),
        "state": PENDING,
        "invited_by": desk.actor.user_id,
        "mails": int(is_mailed),
        "mailed_at": now,
        "version": 1,
        "created_at": now,
        "updated_at": now,
        "expires_at": now + desk.terms.lifetime,
    }
    row = await repository.add(desk.session, values)
    if is_mailed:
        await _mail(desk, row, usage["inviter_name"], token)
    await _record(desk, INVITATION_CREATED, None, row)
    return row


async def _renew(desk: _Desk, found: RowMapping, changed: Mapping[str, Any]) -> RowMapping:
    """Change a pending invitation, and mail it anew unless it just was; without either it stays as it is.

    Whoever asks for that answers for it from then on.
    """
    if found["invited_by"] != desk.actor.user_id:
        changed = {**changed, "invited_by": desk.actor.user_id}
    is_quiet = found["mailed_at"] is not None and found["mailed_at"] > desk.now - PAUSE
    if is_quiet and not changed:
        return found
    fresh = {**changed, "updated_at": desk.now, "expires_at": desk.now + desk.terms.lifetime}
    usage = await _usage(desk, found["email_canonical"])
    is_mailed, token = not is_quiet and usage["to_address"] < MAILS_TO_ADDRESS, new_token()
    if not is_quiet:
        has_expired = found["expires_at"] <= desk.now
        mails = 0 if has_expired else found["mails"]
        _refuse_too_many(usage, mails=mails, is_open=not has_expired)
        fresh |= {"mails": mails + int(is_mailed), "mailed_at": desk.now}
    if is_mailed:
        fresh["token_hash"] = token_digest(token)
    row = await repository.renew(desk.session, found["id"], fresh)
    if is_mailed:
        await _mail(desk, row, usage["inviter_name"], token)
    await _record(desk, INVITATION_UPDATED, found, row)
    return row


async def _usage(desk: _Desk, address: str) -> RowMapping:
    async with beyond_memberships(desk.session, "mails to an address are counted wherever they come from"):
        return await repository.usage(
            desk.session, workspace_id=desk.workspace["id"], inviter_id=desk.actor.user_id, address=address
        )


def _refuse_too_many(usage: RowMapping, *, mails: int = 0, is_open: bool = False) -> None:
    if not is_open and usage["open"] >= MOST_OPEN:
        raise TooManyInvitations
    if mails >= MAILS_EACH or usage["by_inviter"] >= MAILS_PER_HOUR:
        raise TooManyMails(retry_after=int(HOUR.total_seconds()))


async def _mail(desk: _Desk, row: RowMapping, inviter_name: str | None, token: str) -> None:
    letter = Letter(
        to=row["email"],
        inviter_id=desk.actor.user_id,
        inviter_name=inviter_name,
        workspace_name=desk.workspace["name"],
        role=row["role"],
        token=token,
        expires_at=row["expires_at"],
    )
    await request_mail(desk.session, letter, ring=desk.terms.ring)


async def _record(desk: _Desk, event_type: str, before: RowMapping | None, after: RowMapping) -> None:
    draft = invitation_changed(event_type, before, after)
    await changes.record(desk.session, workspace_id=desk.workspace["id"], actor=desk.actor, drafts=[draft])


def _stored(grants: Sequence[ProjectGrant]) -> list[dict[str, Any]]:
    """Return grants as they are kept: in one order, so that equal ones are equal."""
    return sorted((one.model_dump(mode="json") for one in grants), key=lambda one: str(one["project_id"]))
