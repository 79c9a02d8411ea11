"""N3: an address is asked into a workspace, once at a time, and only who has confirmed it gets in, once."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.secret_tokens import token_digest
from sqlalchemy import text
from tasks_service.directory import repository as directory
from tasks_service.invitations.rules import token_place
from tasks_service.workspaces.service import create_workspace, ensure_personal_workspace
from testkit.statements import statements_seen
from testkit.waiting import eventually

ACCEPT, DECLINE = "/api/v1/invitations/accept", "/api/v1/invitations/decline"
SOMEWHERE = "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02"
LOG = (
    "SELECT type, changes, audience, actor->>'id' FROM tasks.change"
    " WHERE workspace_id = :w AND seq > :after ORDER BY seq"
)
JOIN = "INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, 'admin', 1, 1, now())"
LAST = "SELECT max(seq) FROM tasks.change WHERE workspace_id = :w"
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock' AND query LIKE '%FOR NO KEY UPDATE%'"
)
MAILS = "SELECT data->'resource' FROM tasks.outbox WHERE data->'resource'->>'to' = :to ORDER BY event_id"


@dataclass
class Team:
    """A workspace with an owner, an admin and two projects, and what is asked of it."""

    api: Any
    rows: Any
    ring: Any
    gateway: Any
    id: UUID
    owner: UUID
    admin: UUID
    projects: dict[str, UUID]

    @property
    def path(self):
        return f"/api/v1/workspaces/{self.id}/invitations"

    async def invite(self, email, *, by=None, status=201, **body):
        headers = self.gateway.headers(by or self.owner)
        answer = await self.api.post(self.path, json={"email": email, **body}, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()["data"] if status < 300 else answer.json()["errors"][0]["code"]

    async def mails(self, email):
        return [mail for (mail,) in await self.rows(MAILS, to=email)]

    async def token(self, email):
        """The token of the last mail to an address."""
        mail = (await self.mails(email))[-1]
        return self.ring.open(mail["token_sealed"], place=token_place(UUID(mail["id"]))).decode()

    async def answer(self, path, user, token):
        headers = self.gateway.headers(user)
        return await self.api.post(path, json={"token": token}, headers=headers)

    async def log(self, after=5):
        return await self.rows(LOG, w=self.id, after=after)

    async def members(self, user):
        query = "SELECT role FROM tasks.member WHERE workspace_id = :w AND user_id = :u"
        return [role for (role,) in await self.rows(query, w=self.id, u=user)]

    async def age(self, email):
        """Let the last mail to an address be two minutes old."""
        await self.rows(
            "UPDATE tasks.invitation SET mailed_at = mailed_at - interval '2 minutes' WHERE email = :e", e=email
        )


@pytest.fixture
async def team(api, database, rows, settings, test_gateway, known):
    owner, admin = await known("Ada"), await known("Grace")
    async with transaction(database) as session:
        workspace, projects = await create_workspace(
            session, owner=Principal(owner, uuid7()), name="Team", members=[admin], projects_named=["A", "B"]
        )
    await rows("UPDATE tasks.member SET role = 'admin' WHERE user_id = :u", u=admin)
    await rows("UPDATE tasks.project SET visibility = 'private' WHERE id = :id", id=projects["B"])
    ring = settings.mail_sealing.ring()
    return Team(api, rows, ring, test_gateway, workspace, owner, admin, projects)


@pytest.fixture
def known(database):
    """Puts people into the directory, and returns their ids."""

    async def known(name="Joan", email=None, *, verified=True, user=None, version=1):
        user = user or uuid7()
        async with transaction(database) as session:
            await directory.put(
                session,
                {
                    "id": user,
                    "display_name": name,
                    "avatar_url": None,
                    "email_canonical": email or f"{user}@people.example",
                    "email_verified": verified,
                    "kind": "human",
                    "status": "active",
                    "timezone": "UTC",
                    "version": version,
                },
            )
        return user

    return known


@pytest.fixture
def address():
    return f"{uuid7().hex}@example.com"


def code_of(answer):
    return answer.status_code, answer.json()["errors"][0]["code"]


async def test_n3_an_invitation_is_mailed_and_its_token_is_in_the_mail_alone(team, address, rows):
    before = utcnow()
    made = await team.invite(
        address, role="guest", projects=[{"project_id": str(team.projects["A"]), "role": "editor"}]
    )
    assert (made["email"], made["role"], made["state"], made["version"]) == (address, "guest", "pending", 1)
    assert made["invited_by"] == str(team.owner)
    ((created, expires, digest),) = await rows(
        "SELECT created_at, expires_at, token_hash FROM tasks.invitation WHERE id = :id", id=made["id"]
    )
    assert (expires - created).total_seconds() == 7 * 86_400
    assert created >= before
    (mail,) = await team.mails(address)
    assert (mail["kind"], mail["user_id"], mail["display_name"]) == ("workspace_invitation", str(team.owner), "")
    assert mail["details"] == {"workspace": "Team", "invited_by": "Ada", "role": "guest"}
    token = await team.token(address)
    assert (len(token), token_digest(token)) == (43, bytes(digest))
    everything = str(await rows("SELECT c::text FROM tasks.change c WHERE workspace_id = :w", w=team.id))
    assert address not in everything
    assert token not in everything
    assert token not in str(await rows("SELECT o::text FROM tasks.outbox o"))
    ((kind, changes, audience, actor),) = await team.log()
    assert (kind, actor) == ("invitation.created.v1", str(team.owner))
    assert sorted(audience) == sorted([team.owner, team.admin])
    assert {one["field"]: one["new"] for one in changes}["role"] == "guest"


async def test_n3_an_accepted_invitation_makes_a_member_of_workspace_and_projects(team, address, known, rows):
    joan = await known("Joan", address)
    grants = [{"project_id": str(team.projects[name]), "role": "commenter"} for name in ("A", "B")]
    await team.invite(address.upper(), role="guest", projects=grants)
    answer = await team.answer(ACCEPT, joan, await team.token(f"{address.split('@')[0].upper()}@example.com"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == {
        "workspace_id": str(team.id),
        "name": "Team",
        "role": "guest",
        "projects": sorted(grants, key=lambda one: one["project_id"]),
    }
    assert await team.members(joan) == ["guest"]
    of_projects = "SELECT project_id, role FROM tasks.project_member WHERE user_id = :u"
    assert set(await rows(of_projects, u=joan)) == {(team.projects[name], "commenter") for name in ("A", "B")}
    added, *projects, accepted = await team.log(after=6)
    assert [one[0] for one in (added, *projects, accepted)] == [
        "member.added.v1",
        "project_member.added.v1",
        "project_member.added.v1",
        "invitation.updated.v1",
    ]
    assert joan in added[2]
    assert all(joan in one[2] for one in projects)
    assert accepted[1] == [{"field": "state", "old": "pending", "new": "accepted"}]
    assert sorted(accepted[2]) == sorted([team.owner, team.admin])
    assert accepted[3] == str(joan)
    ((joined,),) = await rows("SELECT joined_seq FROM tasks.member WHERE user_id = :u", u=joan)
    assert joined == 7
    seen = await team.api.get("/api/v1/projects", headers=team.gateway.headers(joan))
    assert {one["id"] for one in seen.json()["data"]} == {str(one) for one in team.projects.values()}


async def test_n3_the_link_tells_whoever_has_the_mail_and_accepts_nothing(team, address, known):
    await team.invite(address, role="guest")
    user, token = await known(email=address), await team.token(address)
    for _ in range(2):
        looked = await team.api.get("/api/v1/invitations/link", params={"token": token})
        assert looked.status_code == 200, looked.text
        assert looked.headers["cache-control"] == "no-store"
        told = looked.json()["data"]
        assert (told["valid"], told["workspace"], told["role"]) == (True, "Team", "guest")
    assert await team.members(user) == []
    assert (await team.answer(ACCEPT, user, token)).status_code == 200
    fixed = {"x-request-id": "the-same-for-all"}
    used, wrong = [
        await team.api.get("/api/v1/invitations/link", params={"token": one}, headers=fixed)
        for one in (token, "x" * 43)
    ]
    assert (used.status_code, used.content) == (404, wrong.content)


async def test_n3_the_link_of_an_expired_invitation_says_so(team, address, rows):
    await team.invite(address)
    token = await team.token(address)
    await rows("UPDATE tasks.invitation SET expires_at = now() WHERE email = :e", e=address)
    looked = await team.api.get("/api/v1/invitations/link", params={"token": token})
    assert (looked.status_code, looked.json()["errors"][0]["code"]) == (410, "INVITATION_EXPIRED")


async def test_n3_a_token_works_once(team, address, known):
    joan = await known("Joan", address)
    await team.invite(address)
    token = await team.token(address)
    assert (await team.answer(ACCEPT, joan, token)).status_code == 200
    for path in (ACCEPT, DECLINE):
        assert code_of(await team.answer(path, joan, token)) == (404, "NOT_FOUND")


async def test_n3_of_many_at_once_one_is_accepted(team, address, known):
    joan = await known("Joan", address)
    await team.invite(address)
    token = await team.token(address)
    answers = await asyncio.gather(*(team.answer(ACCEPT, joan, token) for _ in range(20)))
    assert sorted(one.status_code for one in answers) == [200] + [404] * 19
    assert await team.members(joan) == ["member"]
    assert [one[0] for one in await team.log(after=6)] == ["member.added.v1", "invitation.updated.v1"]


async def test_n3_accepting_and_revoking_at_once_leave_one_outcome(team, known):
    for _ in range(5):
        email = f"{uuid7().hex}@example.com"
        joan = await known("Joan", email)
        made = await team.invite(email)
        token = await team.token(email)
        revoking = team.api.delete(f"{team.path}/{made['id']}", headers=team.gateway.headers(team.owner))
        accepted, revoked = await asyncio.gather(team.answer(ACCEPT, joan, token), revoking)
        assert {accepted.status_code, revoked.status_code} == {200, 404}
        assert await team.members(joan) == (["member"] if accepted.status_code == 200 else [])


async def test_n3_an_invitation_for_another_address_is_refused(team, address, known):
    await team.invite(address)
    token = await team.token(address)
    stranger = await known("Eve", f"{uuid7().hex}@example.com")
    for path in (ACCEPT, DECLINE):
        assert code_of(await team.answer(path, stranger, token)) == (403, "INVITATION_FOR_ANOTHER_ADDRESS")
    assert await team.members(stranger) == []


async def test_n3_who_has_confirmed_no_address_hears_that_of_every_token_in_the_same_words(team, address, known):
    await team.invite(address)
    token = await team.token(address)
    joan = await known("Joan", address, verified=False)
    eve = await known("Eve", f"{uuid7().hex}@example.com", verified=False)
    for path in (ACCEPT, DECLINE):
        answers = []
        for user in (joan, eve, uuid7()):
            headers = {**team.gateway.headers(user), "x-request-id": str(team.id)}
            answers.append(await team.api.post(path, json={"token": token}, headers=headers))
            assert code_of(await team.answer(path, user, token + "x")) == (404, "NOT_FOUND")
        assert [code_of(one) for one in answers] == [(403, "ADDRESS_UNCONFIRMED")] * 3
        assert len({one.content for one in answers}) == 1
    assert await team.members(joan) == []
    await known("Joan", address, user=joan, version=2)
    assert (await team.answer(ACCEPT, joan, token)).status_code == 200


async def test_n3_somebody_who_is_gone_joins_nothing(team, address, known, database):
    joan = await known("Joan", address)
    await team.invite(address)
    async with transaction(database) as session:
        await directory.bury(session, joan, kind="human")
    answer = await team.answer(ACCEPT, joan, await team.token(address))
    assert code_of(answer) == (403, "ADDRESS_UNCONFIRMED")


@pytest.mark.parametrize("path", [ACCEPT, DECLINE])
async def test_n3_an_expired_invitation_is_gone(team, address, known, path):
    joan = await known("Joan", address)
    await team.invite(address)
    token = await team.token(address)
    await team.rows("UPDATE tasks.invitation SET expires_at = now() WHERE email = :e", e=address)
    assert code_of(await team.answer(path, joan, token)) == (410, "INVITATION_EXPIRED")
    assert await team.members(joan) == []


async def test_n3_wrong_revoked_and_declined_tokens_are_answered_alike(team, known):
    bodies = set()
    for how in ("wrong", "revoked", "declined"):
        email = f"{uuid7().hex}@example.com"
        joan = await known("Joan", email)
        made = await team.invite(email)
        token = await team.token(email)
        if how == "revoked":
            headers = team.gateway.headers(team.admin)
            answer = await team.api.delete(f"{team.path}/{made['id']}", headers=headers)
            gone = {**made, "state": "revoked", "version": 2, "updated_at": answer.json()["data"]["updated_at"]}
            assert (answer.status_code, answer.json()["data"], answer.headers["etag"]) == (200, gone, '"2"')
            assert (await team.api.delete(f"{team.path}/{made['id']}", headers=headers)).status_code == 404
        if how == "declined":
            answer = await team.answer(DECLINE, joan, token)
            assert (answer.status_code, answer.json()["data"], bool(answer.headers["x-cursor"])) == (200, None, True)
        headers = {**team.gateway.headers(joan), "x-request-id": str(team.id)}
        body = {"token": token + "x" if how == "wrong" else token}
        answer = await team.api.post(ACCEPT, json=body, headers=headers)
        bodies.add((answer.status_code, answer.content))
        assert await team.members(joan) == []
    assert [status for status, _ in bodies] == [404]
    kinds = [(kind, changes[0]["new"]) for kind, changes, *_ in await team.log() if kind != "invitation.created.v1"]
    assert kinds == [("invitation.deleted.v1", "revoked"), ("invitation.updated.v1", "declined")]


async def test_n3_inviting_again_keeps_the_invitation_and_does_not_mail_within_a_minute(team, address):
    first = await team.invite(address)
    again = await team.invite(address.upper(), status=200)
    assert again == first
    assert len(await team.mails(address)) == 1
    assert len(await team.log()) == 1
    changed = await team.invite(address, status=200, role="admin")
    assert (changed["id"], changed["role"], changed["version"]) == (first["id"], "admin", 2)
    assert len(await team.mails(address)) == 1
    token = await team.token(address)
    await team.age(address)
    later = await team.invite(address, status=200, role="admin")
    assert (later["id"], later["version"]) == (first["id"], 3)
    assert later["expires_at"] > changed["expires_at"]
    assert len(await team.mails(address)) == 2
    assert await team.token(address) != token
    assert [one[0] for one in await team.log()] == ["invitation.created.v1", *["invitation.updated.v1"] * 2]


async def test_n3_addresses_are_one_in_whatever_spelling(team):
    name = uuid7().hex
    first = await team.invite(f"{name}@b\u00fccher.example")
    assert (await team.invite(f"{name.upper()}@XN--BCHER-KVA.example", status=200))["id"] == first["id"]


async def test_n3_fifty_invitations_of_one_address_at_once_are_one(team, address):
    headers = team.gateway.headers(team.owner)
    answers = await asyncio.gather(
        *(team.api.post(team.path, json={"email": address}, headers=headers) for _ in range(50))
    )
    done = [one for one in answers if one.status_code != 503]
    assert sorted(one.status_code for one in done) == [200] * (len(done) - 1) + [201]
    assert len({one.json()["data"]["id"] for one in done}) == 1
    assert len(await team.mails(address)) == 1
    assert len(await team.log()) == 1


async def test_n3_resending_mails_another_link_that_counts_instead(team, address, known):
    joan = await known("Joan", address)
    made = await team.invite(address)
    old = await team.token(address)
    path, headers = f"{team.path}/{made['id']}/resend", team.gateway.headers(team.admin)
    at_once = await team.api.post(path, headers=team.gateway.headers(team.owner))
    assert (at_once.status_code, at_once.json()["data"]) == (200, made)
    await team.age(address)
    again = await team.api.post(path, headers=headers)
    assert (again.status_code, again.headers["etag"]) == (200, '"2"')
    assert [mail["details"]["invited_by"] for mail in await team.mails(address)] == ["Ada", "Grace"]
    assert code_of(await team.answer(ACCEPT, joan, old)) == (404, "NOT_FOUND")
    assert (await team.answer(ACCEPT, joan, await team.token(address))).status_code == 200
    assert (await team.api.post(path, headers=headers)).status_code == 404


async def test_n3_an_expired_invitation_is_renewed(team, address, known):
    joan = await known("Joan", address)
    made = await team.invite(address)
    await team.rows(
        "UPDATE tasks.invitation SET expires_at = now(), mails = 5, mailed_at = now() - interval '8 days'"
        " WHERE email = :e",
        e=address,
    )
    assert (await team.invite(address, status=200))["id"] == made["id"]
    assert (await team.answer(ACCEPT, joan, await team.token(address))).status_code == 200


async def test_n3_the_answer_and_the_work_are_the_same_whoever_has_the_address(team, known, database, rows):
    emails = {how: f"{uuid7().hex}@example.com" for how in ("nobody", "somebody", "member")}
    await known("Joan", emails["somebody"])
    member = await known("Mary", emails["member"])
    await rows("INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, 'member', 1, 1, now())", w=team.id, u=member)
    seen, shown = {}, {}
    for how, email in emails.items():
        with statements_seen(database.writer) as statements:
            shown[how] = await team.invite(email)
        seen[how] = list(statements)
        assert len(await team.mails(email)) == 1
    assert seen["nobody"] == seen["somebody"] == seen["member"]
    private = {"id", "email", "created_at", "updated_at", "expires_at"}
    visible = [{key: value for key, value in one.items() if key not in private} for one in shown.values()]
    assert visible[0] == visible[1] == visible[2]


@pytest.mark.parametrize("role", ["owner", "admin", "guest"])
async def test_n3_a_member_keeps_the_role_and_gets_the_projects(team, address, known, rows, role):
    joan = await known("Joan", address)
    await rows("INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, :role, 1, 1, now())", w=team.id, u=joan, role=role)
    await rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :w, :p, :u, 'manager', 1, now())",
        w=team.id,
        p=team.projects["A"],
        u=joan,
    )
    grants = [{"project_id": str(team.projects[name]), "role": "viewer"} for name in ("A", "B")]
    await team.invite(address, role="member", projects=grants)
    answer = await team.answer(ACCEPT, joan, await team.token(address))
    assert (answer.status_code, answer.json()["data"]["role"]) == (200, role)
    assert await team.members(joan) == [role]
    of_projects = dict(await rows("SELECT project_id, role FROM tasks.project_member WHERE user_id = :u", u=joan))
    assert of_projects == {team.projects["A"]: "manager", team.projects["B"]: "viewer"}
    assert [one[0] for one in await team.log(after=6)] == ["project_member.added.v1", "invitation.updated.v1"]


async def test_n3_projects_that_are_gone_are_left_out(team, address, known, rows):
    joan = await known("Joan", address)
    grants = [{"project_id": str(team.projects[name]), "role": "viewer"} for name in ("A", "B")]
    await team.invite(address, projects=grants)
    await rows("UPDATE tasks.project SET deleted_at = now() WHERE id = :id", id=team.projects["A"])
    answer = await team.answer(ACCEPT, joan, await team.token(address))
    assert answer.json()["data"]["projects"] == [{"project_id": str(team.projects["B"]), "role": "viewer"}]
    assert await rows("SELECT project_id FROM tasks.project_member WHERE user_id = :u", u=joan) == [
        (team.projects["B"],)
    ]


async def test_n3_a_deleted_workspace_is_joined_by_nobody(team, address, known, rows):
    joan = await known("Joan", address)
    await team.invite(address)
    await rows("UPDATE tasks.workspace SET deleted_at = now() WHERE id = :id", id=team.id)
    assert code_of(await team.answer(ACCEPT, joan, await team.token(address))) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"role": "owner"}, None),
        ({"email": "no address"}, "EMAIL_INVALID"),
        ({"email": "a@b\u0000.example"}, None),
        ({"projects": [{"project_id": str(uuid7()), "role": "editor"}]}, "PROJECT_NOT_FOUND"),
        (
            {"projects": [{"project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02", "role": "viewer"}] * 2},
            "DUPLICATE_PROJECT",
        ),
        ({"projects": [{"project_id": str(uuid7()), "role": "viewer"}] * 51}, None),
        ({"state": "accepted"}, None),
        ({"token": "x"}, None),
    ],
)
async def test_n3_what_is_wrong_is_refused_and_nothing_is_mailed(team, address, body, code):
    found = await team.invite(**{"email": address, **body}, status=422)
    assert code in {None, found}
    assert await team.mails(address) == []
    assert await team.log() == []


async def test_n3_a_project_of_another_workspace_is_answered_as_none(team, address, database):
    async with transaction(database) as session:
        _, others = await create_workspace(
            session, owner=Principal(team.owner, uuid7()), name="Other", members=(), projects_named=["X"]
        )
    answers = []
    for project in (others["X"], uuid7()):
        headers = {**team.gateway.headers(team.owner), "x-request-id": str(team.id)}
        body = {"email": address, "projects": [{"project_id": str(project), "role": "viewer"}]}
        answers.append(await team.api.post(team.path, json=body, headers=headers))
    assert answers[0].status_code == 422
    assert answers[0].content == answers[1].content


async def test_n3_an_archived_project_takes_nobody_else(team, address, rows):
    await rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=team.projects["A"])
    grants = [{"project_id": str(team.projects["A"]), "role": "viewer"}]
    assert await team.invite(address, projects=grants, status=409) == "PROJECT_ARCHIVED"


async def test_n3_nobody_is_invited_into_a_personal_workspace(api, database, rows, test_gateway, address):
    owner = uuid7()
    async with transaction(database) as session:
        await ensure_personal_workspace(session, owner=Principal(owner, uuid7()))
    ((workspace,),) = await rows("SELECT id FROM tasks.workspace WHERE personal_owner_id = :u", u=owner)
    path = f"/api/v1/workspaces/{workspace}/invitations"
    answer = await api.post(path, json={"email": address}, headers=test_gateway.headers(owner))
    assert code_of(answer) == (409, "PERSONAL_WORKSPACE")


async def test_n3_a_workspace_has_a_hundred_open_invitations(team, address, rows):
    fill = (
        "INSERT INTO tasks.invitation (id, workspace_id, email, email_canonical, role, projects, token_hash, state,"
        " invited_by, version, created_at, updated_at, expires_at) SELECT uuidv7(), :w, 'x', i || '@fill.example',"
        " 'member', '[]', uuid_send(uuidv7()), 'pending', :u, 1, now(), now(), now() + interval '1 day'"
        " FROM generate_series(1, 100) i"
    )
    await rows(fill, w=team.id, u=team.owner)
    assert await team.invite(address, status=409) == "TOO_MANY_INVITATIONS"
    await rows("UPDATE tasks.invitation SET expires_at = now() WHERE email_canonical = '1@fill.example'")
    await team.invite(address)


async def test_n3_one_person_brings_on_fifty_mails_an_hour_whatever_is_revoked(team, rows, known):
    made = [await team.invite(f"{uuid7().hex}@example.com") for _ in range(2)]
    await rows("UPDATE tasks.invitation SET mails = 49 WHERE id = :id", id=made[0]["id"])
    path = f"{team.path}/{made[1]['id']}"
    assert (await team.api.delete(path, headers=team.gateway.headers(team.owner))).status_code == 200
    headers = team.gateway.headers(team.owner)
    answer = await team.api.post(team.path, json={"email": f"{uuid7().hex}@example.com"}, headers=headers)
    assert (code_of(answer), answer.headers["retry-after"]) == ((429, "TOO_MANY_MAILS"), "3600")
    await team.invite(f"{uuid7().hex}@example.com", by=team.admin)


async def test_n3_an_invitation_has_five_mails(team, address):
    made = await team.invite(address)
    headers = team.gateway.headers(team.owner)
    statuses = []
    for _ in range(5):
        await team.age(address)
        statuses.append((await team.api.post(f"{team.path}/{made['id']}/resend", headers=headers)).status_code)
    assert statuses == [200, 200, 200, 200, 429]
    assert len(await team.mails(address)) == 5


async def test_n3_an_address_is_not_flooded_by_many_and_nobody_learns_of_it(team, address, rows):
    made = await team.invite(address)
    await rows("UPDATE tasks.invitation SET mails = 10, state = 'revoked' WHERE id = :id", id=made["id"])
    again = await team.invite(address, by=team.admin)
    assert (again["version"], again["state"], again["id"] != made["id"]) == (1, "pending", True)
    assert len(await team.mails(address)) == 1


async def test_n3_names_in_mails_are_short_and_on_one_line(team, address, rows, known):
    await known("Click\r\nBcc: x\u202e https://evil.example/" + "a" * 60, user=team.owner, version=2)
    await rows("UPDATE tasks.workspace SET name = :name WHERE id = :id", name="W" * 200, id=team.id)
    await team.invite(address)
    (mail,) = await team.mails(address)
    assert mail["details"]["workspace"] == "W" * 100
    assert mail["details"]["invited_by"] == ("ClickBcc: x https://evil.example/" + "a" * 60)[:100]


async def test_n3_pending_invitations_are_listed_newest_first(team, known):
    emails = [f"{uuid7().hex}@example.com" for _ in range(3)]
    made = [await team.invite(email) for email in emails]
    headers = team.gateway.headers(team.admin)
    await team.api.delete(f"{team.path}/{made[0]['id']}", headers=headers)
    pending = (await team.api.get(f"{team.path}?per_page=1", headers=headers)).json()
    assert ([one["email"] for one in pending["data"]], pending["meta"]["total"]) == ([emails[2]], 2)
    revoked = (await team.api.get(f"{team.path}?state=revoked", headers=headers)).json()["data"]
    assert [(one["email"], one["state"], one["version"]) for one in revoked] == [(emails[0], "revoked", 2)]


async def test_n3_a_stale_if_match_revokes_nothing(team, address):
    made = await team.invite(address)
    await team.invite(address, role="admin", status=200)
    headers = team.gateway.headers(team.owner)
    stale = await team.api.delete(f"{team.path}/{made['id']}", headers={**headers, "if-match": '"1"'})
    assert stale.status_code == 412
    assert stale.json()["data"]["current"]["role"] == "admin"
    minimal = {**headers, "if-match": '"2"', "prefer": "return=minimal"}
    fresh = await team.api.delete(f"{team.path}/{made['id']}", headers=minimal)
    assert (fresh.status_code, fresh.content, fresh.headers["etag"]) == (204, b"", '"3"')


async def test_n3_an_invitation_of_another_workspace_is_not_there(team, address, database):
    made = await team.invite(address)
    async with transaction(database) as session:
        other, _ = await create_workspace(
            session, owner=Principal(team.owner, uuid7()), name="Other", members=(), projects_named=[]
        )
    headers = team.gateway.headers(team.owner)
    path = f"/api/v1/workspaces/{other}/invitations/{made['id']}"
    assert (await team.api.delete(path, headers=headers)).status_code == 404
    assert (await team.api.post(f"{path}/resend", headers=headers)).status_code == 404


async def test_a8_restricted_tokens_join_nothing_and_others_do(team, address, known):
    joan = await known("Joan", address)
    await team.invite(address)
    token = await team.token(address)
    for bounds in ({"workspace_id": team.id}, {"project_ids": [team.projects["A"]]}):
        headers = team.gateway.token_headers(joan, "tasks:write", **bounds)
        for path in (ACCEPT, DECLINE):
            assert code_of(await team.api.post(path, json={"token": token}, headers=headers)) == (
                403,
                "TOKEN_RESTRICTED",
            )
    headers = team.gateway.token_headers(joan, "tasks:write")
    assert (await team.api.post(ACCEPT, json={"token": token}, headers=headers)).status_code == 200


async def test_r32_a_repeated_acceptance_gets_the_first_answer(team, address, known):
    joan = await known("Joan", address)
    await team.invite(address)
    token = await team.token(address)
    headers = {**team.gateway.headers(joan), "idempotency-key": "k"}
    answers = [await team.api.post(ACCEPT, json={"token": token}, headers=headers) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].content == answers[1].content


async def end_of(team, how, user):
    """Take from somebody what lets them invite, in one of the ways in which that happens."""
    path = f"/api/v1/workspaces/{team.id}/members/{user}"
    requests = {
        "removed": ("DELETE", path, None, team.owner),
        "left": ("DELETE", path, None, user),
        "offboarded": ("POST", f"{path}/offboard", {"unassign": True}, team.owner),
        "demoted": ("PATCH", path, {"role": "member"}, team.owner),
    }
    if how in requests:
        method, to, body, by = requests[how]
        answer = await team.api.request(method, to, json=body, headers=team.gateway.headers(by))
        assert answer.status_code == 200, answer.text
    else:
        await team.rows("UPDATE tasks.person SET status = :s WHERE id = :u", s=how, u=user)


WAYS = ("removed", "left", "offboarded", "demoted", "deactivated", "disabled", "deleting")


@pytest.mark.parametrize("how", WAYS)
async def test_n3_an_invitation_is_void_once_its_inviter_may_not_invite(team, address, known, how):
    second = await known("Grace again", address)
    grants = [{"project_id": str(team.projects["B"]), "role": "manager"}]
    await team.invite(address, by=team.admin, role="admin", projects=grants)
    token = await team.token(address)
    await end_of(team, how, team.admin)
    fixed = {**team.gateway.headers(second), "x-request-id": "the-same-for-all"}
    for path in (ACCEPT, DECLINE):
        void, wrong = [
            await team.api.post(path, json={"token": one}, headers=fixed) for one in (token, token[:-1] + "_")
        ]
        assert (void.status_code, void.content) == (404, wrong.content)
    assert (await team.api.get("/api/v1/invitations/link", params={"token": token})).status_code == 404
    assert await team.members(second) == []
    assert "accepted" not in str(await team.log())


@pytest.mark.parametrize("again", ["resend", "invite"])
async def test_n3_whoever_may_invite_makes_it_their_invitation_by_asking_again(team, address, known, again):
    joan = await known("Joan", address)
    made = await team.invite(address, by=team.admin, role="guest")
    token = await team.token(address)
    await end_of(team, "removed", team.admin)
    assert (await team.answer(ACCEPT, joan, token)).status_code == 404
    if again == "resend":
        headers = team.gateway.headers(team.owner)
        taken = (await team.api.post(f"{team.path}/{made['id']}/resend", headers=headers)).json()["data"]
    else:
        taken = await team.invite(address, role="guest", status=200)
    assert (taken["id"], taken["invited_by"], taken["version"]) == (made["id"], str(team.owner), 2)
    *_, (kind, changes, _, by) = await team.log()
    assert (kind, by) == ("invitation.updated.v1", str(team.owner))
    assert {"field": "invited_by", "old": str(team.admin), "new": str(team.owner)} in changes
    # Within a minute there is no other mail, and so the link is the same.
    assert len(await team.mails(address)) == 1
    assert (await team.answer(ACCEPT, joan, token)).status_code == 200
    assert await team.members(joan) == ["guest"]


async def test_n3_whoever_changes_an_invitation_answers_for_it(team, address, known):
    joan = await known("Joan", address)
    await team.invite(address, role="guest")
    changed = await team.invite(address, by=team.admin, role="admin", status=200)
    assert (changed["role"], changed["invited_by"]) == ("admin", str(team.admin))
    await end_of(team, "demoted", team.admin)
    assert (await team.answer(ACCEPT, joan, await team.token(address))).status_code == 404
    assert await team.members(joan) == []


@pytest.mark.parametrize("how", ["removed", "demoted"])
async def test_n3_accepting_while_the_inviter_is_removed_ends_in_one_of_both_orders(team, known, how):
    for _ in range(20):
        email = f"{uuid7().hex}@example.com"
        inviter, second = await known("Eve"), await known("Eve again", email)
        await team.rows(
            "INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, 'admin', 1, 1, now())", w=team.id, u=inviter
        )
        await team.invite(email, by=inviter, role="admin")
        token, (*_, (before,)) = await team.token(email), await team.rows(LAST, w=team.id)
        answer, _ = await asyncio.gather(team.answer(ACCEPT, second, token), end_of(team, how, inviter))
        # Who is demoted does not see the private project any more.
        ended = ["member.removed.v1"] if how == "removed" else ["member.updated.v1", "project.updated.v1"]
        kinds = [kind for kind, *_ in await team.log(after=before)]
        if answer.status_code == 200:
            assert kinds == ["member.added.v1", "invitation.updated.v1", *ended]
        else:
            assert (code_of(answer), kinds) == ((404, "NOT_FOUND"), ended)
        assert await team.members(second) == (["admin"] if answer.status_code == 200 else [])


@pytest.mark.parametrize(("how", "status"), [("removed", 404), ("demoted", 403)])
async def test_n3_who_is_being_removed_invites_nobody(team, database, address, how, status):
    async with database.writer.connect() as holder:
        await holder.execute(text("SELECT 1 FROM tasks.workspace WHERE id = :id FOR NO KEY UPDATE"), {"id": team.id})
        ending = asyncio.ensure_future(end_of(team, how, team.admin))
        await eventually(lambda: waiting_for_locks(team.rows, 1))
        headers = team.gateway.headers(team.admin)
        inviting = asyncio.ensure_future(team.api.post(team.path, json={"email": address}, headers=headers))
        await eventually(lambda: waiting_for_locks(team.rows, 2))
        await holder.rollback()
        await ending
        assert (await inviting).status_code == status
    assert await team.mails(address) == []


async def waiting_for_locks(rows, count):
    return await rows(WAITING) == [(count,)]
