"""Members of a workspace: who they are (N2), that an owner stays (N5), and that leaving is always possible (F6)."""

import asyncio

import pytest
from chassis.ids import uuid7
from sqlalchemy import event, text
from testkit.waiting import eventually

PATH = "/api/v1/workspaces"
LOG = "SELECT type, version, changes, audience FROM tasks.change WHERE workspace_id = :id AND seq > 2 ORDER BY seq"
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FOR NO KEY UPDATE%'
"""


def codes(answer):
    return [one["code"] for one in answer.json()["errors"]]


@pytest.fixture
def team(api, test_gateway, rows):
    """Makes a workspace of a first owner with further members by name: their ids, headers, and paths."""

    async def make(**roles):
        users = {name: uuid7() for name in ("first", *roles)}
        headers = {name: test_gateway.headers(user) for name, user in users.items()}
        made = (await api.post(PATH, json={"name": "Choir"}, headers=headers["first"])).json()["data"]
        for name, role in roles.items():
            await rows(
                "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, :role, 1, 1, clock_timestamp())",
                workspace=made["id"],
                user=users[name],
                role=role,
            )
        path = f"{PATH}/{made['id']}"
        paths = {name: f"{path}/members/{user}" for name, user in users.items()}
        return Team(made["id"], users, headers, path, paths)

    return make


class Team:
    def __init__(self, workspace, users, headers, path, members):
        self.id, self.users, self.headers, self.path, self.members = workspace, users, headers, path, members

    def names(self, found):
        """Return the roles by name of what was read by user id."""
        named = {str(user): name for name, user in self.users.items()}
        return {named[str(user)]: role for user, role in found}


async def roles_of(rows, team):
    query = "SELECT user_id, role FROM tasks.member WHERE workspace_id = :id"
    return team.names(await rows(query, id=team.id))


async def test_n2_members_come_with_what_the_directory_knows(api, team, rows, database):
    one = await team(known="admin", gone="member", bot="guest", guest="guest")
    people = {"known": ("Mia", "https://a.example/m.png", "human", "active"), "gone": (None, None, "human", "deleted")}
    for name, (shown, avatar, kind, status) in people.items():
        await rows(
            "INSERT INTO tasks.person (id, display_name, avatar_url, email_verified, kind, status, version)"
            " VALUES (:id, :shown, :avatar, true, :kind, :status, 1)",
            id=one.users[name],
            shown=shown,
            avatar=avatar,
            kind=kind,
            status=status,
        )
    await rows(
        "INSERT INTO tasks.service_account (id, workspace_id, version, deleted) VALUES (:id, :workspace, 1, false)",
        id=one.users["bot"],
        workspace=one.id,
    )
    expected = [
        ("first", "owner", None, None, "human", False),
        ("known", "admin", "Mia", "https://a.example/m.png", "human", False),
        ("gone", "member", "Deleted user", None, "human", True),
        ("bot", "guest", None, None, "service", False),
        ("guest", "guest", None, None, "human", False),
    ]
    statements = []
    event.listen(database.reader.sync_engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    answer = await api.get(f"{one.path}/members", headers=one.headers["gone"])
    assert len(statements) == 3
    fields = ("role", "name", "avatar_url", "kind", "deleted")
    shown = answer.json()["data"]
    named = {str(user): name for name, user in one.users.items()}
    assert [(named[each["user_id"]], *(each[field] for field in fields)) for each in shown] == expected
    assert answer.json()["meta"]["total"] == 5
    second = await api.get(f"{one.path}/members?page=2&per_page=2", headers=one.headers["gone"])
    assert second.json()["data"] == shown[2:4]
    read = await api.get(one.members["known"], headers=one.headers["gone"])
    assert (read.json()["data"], read.headers["etag"]) == (shown[1], '"1"')
    for path in (f"{one.path}/members", one.members["guest"]):
        assert (await api.get(path, headers=one.headers["guest"])).status_code == 403
    assert (await api.get(f"{one.path}/members/{uuid7()}", headers=one.headers["first"])).status_code == 404


async def test_n2_roles_change_with_a_version_and_an_event_and_an_equal_one_is_none(api, team, rows):
    one = await team(admin="admin", member="member")
    headers = one.headers["admin"]
    for body in ({}, {"role": "member"}):
        answer = await api.patch(one.members["member"], json=body, headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    for was, role, version in (("member", "admin", 2), ("admin", "guest", 3), ("guest", "member", 4)):
        answer = await api.patch(one.members["member"], json={"role": role}, headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (200, f'"{version}"')
        assert answer.json()["data"]["role"] == role
        entry = ("member.updated.v1", version, [{"field": "role", "old": was, "new": role}])
        *_, (*last, audience) = await rows(LOG, id=one.id)
        assert tuple(last) == entry
        assert audience == sorted(one.users.values())
    stale = await api.patch(one.members["member"], json={"role": "admin"}, headers={**headers, "if-match": '"3"'})
    assert (stale.status_code, stale.json()["data"]["current"]["role"]) == (412, "member")
    for body in ({"role": "king"}, {"role": None}, {"user_id": str(uuid7())}):
        assert (await api.patch(one.members["member"], json=body, headers=headers)).status_code == 422


async def test_n5_owners_alone_make_owners_and_take_that_away(api, team, rows):
    one = await team(second="owner", admin="admin", member="member")
    before = await roles_of(rows, one)
    refused = [
        await api.patch(one.members["member"], json={"role": "owner"}, headers=one.headers["admin"]),
        await api.patch(one.members["admin"], json={"role": "owner"}, headers=one.headers["admin"]),
        await api.patch(one.members["second"], json={"role": "admin"}, headers=one.headers["admin"]),
        await api.delete(one.members["second"], headers=one.headers["admin"]),
        await api.patch(one.members["member"], json={"role": "admin"}, headers=one.headers["member"]),
        await api.delete(one.members["admin"], headers=one.headers["member"]),
    ]
    assert [(answer.status_code, codes(answer)) for answer in refused] == [(403, ["FORBIDDEN"])] * 6
    assert await roles_of(rows, one) == before
    assert (
        await api.patch(one.members["member"], json={"role": "owner"}, headers=one.headers["first"])
    ).status_code == 200
    assert (await api.delete(one.members["second"], headers=one.headers["member"])).status_code == 200
    assert await roles_of(rows, one) == {"first": "owner", "member": "owner", "admin": "admin"}


async def test_n5_the_last_owner_stays_and_stays_one(api, team, rows):
    one = await team(admin="admin")
    owner = one.headers["first"]
    for role in ("admin", "member", "guest"):
        answer = await api.patch(one.members["first"], json={"role": role}, headers=owner)
        assert (answer.status_code, codes(answer)) == (409, ["LAST_OWNER"])
    answer = await api.delete(one.members["first"], headers=owner)
    assert (answer.status_code, codes(answer)) == (409, ["LAST_OWNER"])
    for method, body in (("PATCH", {"role": "admin"}), ("DELETE", None)):
        answer = await api.request(method, one.members["first"], json=body, headers=one.headers["admin"])
        assert (answer.status_code, codes(answer)) == (403, ["FORBIDDEN"])
    assert await rows(LOG, id=one.id) == []


@pytest.mark.parametrize("name", ["second", "admin", "member", "guest"])
async def test_f6_everybody_may_leave(api, team, rows, name):
    one = await team(second="owner", admin="admin", member="member", guest="guest")
    answer = await api.delete(one.members[name], headers=one.headers[name])
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert name not in await roles_of(rows, one)
    # Guests may not list members, and are told of none but themselves.
    told = sorted(user for who, user in one.users.items() if who in {name, "first", "second", "admin", "member"})
    assert [(kind, audience) for kind, _, _, audience in await rows(LOG, id=one.id)] == [("member.removed.v1", told)]
    for path in (one.path, one.members[name]):
        assert (await api.get(path, headers=one.headers[name])).status_code == 404
    assert (await api.delete(one.members[name], headers=one.headers[name])).status_code == 404


async def test_f6_whoever_removes_somebody_is_answered_with_the_membership_as_it_was(api, team):
    one = await team(member="member", guest="guest")
    headers = one.headers["first"]
    was = (await api.get(one.members["member"], headers=headers)).json()["data"]
    keyed = {**headers, "idempotency-key": "k"}
    answer, again = [await api.delete(one.members["member"], headers=keyed) for _ in range(2)]
    assert (answer.status_code, answer.json()["data"], bool(answer.headers["x-cursor"])) == (200, was, True)
    assert (again.headers["idempotency-replayed"], again.content) == ("true", answer.content)
    minimal = await api.delete(one.members["guest"], headers={**headers, "prefer": "return=minimal"})
    assert (minimal.status_code, minimal.content, bool(minimal.headers["x-cursor"])) == (204, b"", True)


async def at_once(api, database, team, *requests):
    """Send requests that have all begun before the first of them may go on; return their answers, in order."""
    async with database.writer.connect() as holder, database.writer.connect() as looking:
        lock = "SELECT 1 FROM tasks.workspace WHERE id = :id FOR NO KEY UPDATE"
        await holder.execute(text(lock), {"id": team.id})
        tasks = []

        async def all_wait():
            waiting = (await looking.execute(text(WAITING))).scalar_one()
            await looking.rollback()
            return waiting == len(tasks)

        for *asked, body, by in requests:
            tasks.append(asyncio.ensure_future(api.request(*asked, json=body, headers=by)))
            await eventually(all_wait)
        await holder.rollback()
        return await asyncio.gather(*tasks)


@pytest.mark.parametrize(("method", "body"), [("DELETE", None), ("PATCH", {"role": "member"})])
async def test_n5_of_two_owners_who_end_each_other_at_once_one_stays(api, database, team, rows, method, body):
    for _ in range(20):
        one = await team(second="owner")
        answers = await at_once(
            api,
            database,
            one,
            (method, one.members["second"], body, one.headers["first"]),
            (method, one.members["first"], body, one.headers["second"]),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert [codes(answer) for answer in answers if answer.status_code == 409] == [["LAST_OWNER"]]
        assert [role for role in (await roles_of(rows, one)).values() if role == "owner"] == ["owner"]
        assert len(await rows(LOG, id=one.id)) == 1


async def test_n5_of_owners_who_all_leave_at_once_one_stays(api, database, team, rows):
    for _ in range(5):
        one = await team(a="owner", b="owner", c="owner")
        leaving = [("DELETE", one.members[name], None, one.headers[name]) for name in one.users]
        answers = await at_once(api, database, one, *leaving)
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 409]
        assert list((await roles_of(rows, one)).values()) == ["owner"]


@pytest.mark.parametrize(("body", "status"), [({"role": "member"}, 403), (None, 404)])
async def test_n5_who_is_no_owner_any_more_when_it_is_their_turn_changes_nothing(
    api, database, team, rows, body, status
):
    one = await team(second="owner", member="member")
    first, second = await at_once(
        api,
        database,
        one,
        ("PATCH" if body else "DELETE", one.members["second"], body, one.headers["first"]),
        ("PATCH", one.members["member"], {"role": "owner"}, one.headers["second"]),
    )
    assert (first.status_code < 300, second.status_code) == (True, status)
    assert (await roles_of(rows, one))["member"] == "member"


@pytest.mark.parametrize("role", ["member", "guest"])
async def test_n5_ownership_goes_from_one_to_another_in_one_step(api, team, rows, role):
    """A guest, too: owners give any role to any member, and this is no other way to be one."""
    one = await team(admin="admin", member=role)
    path = f"{one.path}/transfer-ownership"
    answer = await api.post(path, json={"user_id": str(one.users["member"])}, headers=one.headers["first"])
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    shown = answer.json()["data"]
    assert (shown["user_id"], shown["role"]) == (str(one.users["member"]), "owner")
    assert await roles_of(rows, one) == {"first": "admin", "admin": "admin", "member": "owner"}
    changes = [(kind, changes[0]["old"], changes[0]["new"]) for kind, _, changes, _ in await rows(LOG, id=one.id)]
    assert changes == [("member.updated.v1", role, "owner"), ("member.updated.v1", "owner", "admin")]
    again = await api.post(path, json={"user_id": str(one.users["member"])}, headers=one.headers["first"])
    assert again.status_code == 403


async def test_n5_ownership_goes_to_a_member(api, team, rows, test_gateway):
    one = await team(admin="admin")
    path = f"{one.path}/transfer-ownership"
    stranger = uuid7()
    await api.post("/api/v1/tasks", json={"title": "a"}, headers=test_gateway.headers(stranger))
    refused = [
        await api.post(path, json={"user_id": str(user)}, headers=one.headers["first"])
        for user in (stranger, uuid7(), one.users["first"])
    ]
    assert [(answer.status_code, codes(answer)) for answer in refused] == [(422, ["USER_NOT_FOUND"])] * 3
    assert {answer.json()["errors"][0]["field"] for answer in refused} == {"user_id"}
    assert await roles_of(rows, one) == {"first": "owner", "admin": "admin"}


async def test_n5_two_owners_who_hand_over_to_each_other_at_once_leave_an_owner(api, database, team, rows):
    for _ in range(5):
        one = await team(second="owner", member="member")
        requests = [
            ("POST", f"{one.path}/transfer-ownership", {"user_id": str(one.users[to])}, one.headers[by])
            for by, to in (("first", "second"), ("second", "first"))
        ]
        answers = await at_once(api, database, one, *requests)
        assert [answer.status_code for answer in answers] == [200, 200]
        assert sorted((await roles_of(rows, one)).values()) == ["admin", "member", "owner"]


async def test_a9_a_service_account_is_managed_where_it_is_made(api, team, rows):
    one = await team(bot="member")
    await rows(
        "INSERT INTO tasks.service_account (id, workspace_id, version, deleted) VALUES (:id, :workspace, 1, false)",
        id=one.users["bot"],
        workspace=one.id,
    )
    refused = [
        await api.patch(one.members["bot"], json={"role": "admin"}, headers=one.headers["first"]),
        await api.delete(one.members["bot"], headers=one.headers["first"]),
        await api.post(
            f"{one.path}/transfer-ownership", json={"user_id": str(one.users["bot"])}, headers=one.headers["first"]
        ),
    ]
    assert [(answer.status_code, codes(answer)) for answer in refused] == [(409, ["SERVICE_ACCOUNT_MEMBER"])] * 3
    assert await rows(LOG, id=one.id) == []


@pytest.mark.parametrize("role", ["owner", "admin", "member", "guest"])
async def test_n2_what_one_may_do_with_a_workspace_is_told(api, team, role):
    one = await team(asker=role)
    actions = ("workspace.manage_members", "workspace.remove_member", "workspace.manage_owners", "workspace.delete")
    checks = [{"action": action, "resource": {"type": "workspace", "id": one.id}} for action in actions]
    answer = await api.post("/api/v1/authz/check", json={"checks": checks}, headers=one.headers["asker"])
    allowed = {"owner": [True] * 4, "admin": [True, True, False, False]}.get(role, [False] * 4)
    assert [decision["allowed"] for decision in answer.json()["data"]] == allowed


UNABLE = ("deactivated", "disabled", "deleting", "deleted")


async def put_status(rows, user, status):
    """Let the directory know of somebody's account."""
    statement = (
        "INSERT INTO tasks.person (id, email_verified, kind, status, version) VALUES (:id, false, 'human', :status, 1)"
        " ON CONFLICT (id) DO UPDATE SET status = :status"
    )
    await rows(statement, id=user, status=status)


@pytest.mark.parametrize("status", UNABLE)
async def test_n5_ownership_goes_to_nobody_who_can_not_log_in(api, team, rows, status):
    one = await team(member="member")
    await put_status(rows, one.users["member"], status)
    body, headers = {"user_id": str(one.users["member"])}, one.headers["first"]
    refused = [
        await api.post(f"{one.path}/transfer-ownership", json=body, headers=headers),
        await api.patch(one.members["member"], json={"role": "owner"}, headers=headers),
    ]
    assert [(answer.status_code, codes(answer)) for answer in refused] == [(422, ["USER_NOT_FOUND"])] * 2
    assert {answer.json()["errors"][0]["field"] for answer in refused} == {"user_id"}
    assert await rows(LOG, id=one.id) == []
    assert (await api.patch(one.members["member"], json={"role": "admin"}, headers=headers)).status_code == 200
    await put_status(rows, one.users["member"], "active")
    assert (await api.patch(one.members["member"], json={"role": "owner"}, headers=headers)).status_code == 200


@pytest.mark.parametrize("status", UNABLE)
@pytest.mark.parametrize("way", ["leave", "demote", "offboard"])
async def test_n5_an_owner_who_can_not_log_in_is_none_to_stay(api, team, rows, status, way):
    one = await team(second="owner")
    await put_status(rows, one.users["second"], status)
    path, headers = one.members["first"], one.headers["first"]
    asked = {
        "leave": ("DELETE", path, None),
        "demote": ("PATCH", path, {"role": "admin"}),
        "offboard": ("POST", f"{path}/offboard", {"unassign": True}),
    }
    method, to, body = asked[way]
    answer = await api.request(method, to, json=body, headers=headers)
    assert (answer.status_code, codes(answer)) == (409, ["LAST_OWNER"])
    assert await rows(LOG, id=one.id) == []
    # The other one is no last owner, and may be less or gone.
    assert (await api.patch(one.members["second"], json={"role": "member"}, headers=headers)).status_code == 200
    assert (await api.delete(one.members["second"], headers=headers)).status_code == 200
    assert await roles_of(rows, one) == {"first": "owner"}


async def test_n5_of_two_owners_who_leave_at_once_beside_one_who_can_not_log_in_one_stays(api, database, team, rows):
    for _ in range(10):
        one = await team(second="owner", away="owner")
        await put_status(rows, one.users["away"], "deactivated")
        leaving = [("DELETE", one.members[name], None, one.headers[name]) for name in ("first", "second")]
        answers = await at_once(api, database, one, *leaving)
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert sorted((await roles_of(rows, one)).values()) == ["owner", "owner"]
