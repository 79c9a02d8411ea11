"""Whom a caller finds to assign and mention (issue 4): names, and never addresses."""

import pytest
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from tasks_service.directory import repository
from tasks_service.workspaces.service import create_workspace
from testkit.statements import statements_seen

NAMES = {
    "owner": "Ada Lovelace",
    "admin": "Grace Hopper",
    "member": "Ada Yonath",
    "guest": "Ruth",
    "other": "100%_/Ada",
}


@pytest.fixture
async def team(database, rows):
    """A workspace with a member of each role and two projects, one of them private; ids by name."""
    ids = {name: uuid7() for name in NAMES}
    async with transaction(database) as session:
        workspace, projects = await create_workspace(
            session,
            owner=Principal(ids["owner"], uuid7()),
            name="Team",
            members=[ids[name] for name in NAMES if name != "owner"],
            projects_named=["Open", "Private"],
        )
    for name, user in ids.items():
        if name in {"admin", "guest"}:
            await rows("UPDATE tasks.member SET role = :role WHERE user_id = :user", role=name, user=user)
        async with transaction(database) as session:
            await repository.put(session, person(user, NAMES[name]))
    await rows("UPDATE tasks.project SET visibility = 'private' WHERE id = :id", id=projects["Private"])
    return {**ids, "workspace": workspace, **projects}


def person(user, name, **changed):
    return {
        "id": user,
        "display_name": name,
        "avatar_url": None,
        "email_canonical": f"{user}@example.com",
        "email_verified": True,
        "kind": "human",
        "status": "active",
        "timezone": "UTC",
        "version": 1,
        **changed,
    }


@pytest.fixture
def find(api, team, test_gateway):
    """Asks for the directory as somebody; returns the entries."""

    async def find(who, headers=None, **query):
        path = f"/api/v1/workspaces/{team['workspace']}/directory"
        answer = await api.get(path, params=query, headers=headers or test_gateway.headers(team[who]))
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return find


def names(entries):
    return [one["name"] for one in entries]


EVERYBODY = ["100%_/Ada", "Ada Lovelace", "Ada Yonath", "Grace Hopper", "Ruth"]


@pytest.mark.parametrize("who", ["owner", "admin", "member"])
async def test_members_see_everybody_by_name_and_no_address(find, team, who):
    entries = await find(who)
    assert names(entries) == EVERYBODY
    assert entries[1] == {
        "id": str(team["owner"]),
        "name": "Ada Lovelace",
        "avatar_url": None,
        "kind": "human",
        "role": "owner",
        "deleted": False,
    }
    assert "example.com" not in str(entries)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("ada", ["Ada Lovelace", "Ada Yonath"]),
        ("ADA L", ["Ada Lovelace"]),
        ("hop", ["Grace Hopper"]),
        (" gra ", ["Grace Hopper"]),
        ("da", []),
        ("%", []),
        ("_", []),
        ("\\", []),
        ("100%", ["100%_/Ada"]),
        ("100__", []),
        ("100%_/", ["100%_/Ada"]),
        ("", EVERYBODY),
    ],
)
async def test_r31_a_prefix_finds_words_of_names_and_nothing_by_its_signs(find, q, found):
    assert names(await find("member", q=q)) == found


async def test_r31_a_search_is_no_longer_than_200(api, team, test_gateway):
    path = f"/api/v1/workspaces/{team['workspace']}/directory"
    for length, status in ((200, 200), (201, 422)):
        answer = await api.get(path, params={"q": "a" * length}, headers=test_gateway.headers(team["owner"]))
        assert answer.status_code == status


async def test_it_is_read_a_page_at_a_time(api, team, test_gateway):
    path = f"/api/v1/workspaces/{team['workspace']}/directory?page=2&per_page=2"
    answer = (await api.get(path, headers=test_gateway.headers(team["owner"]))).json()
    assert names(answer["data"]) == EVERYBODY[2:4]
    assert (answer["meta"]["page"], answer["meta"]["per_page"], answer["meta"]["total"]) == (2, 2, 5)


async def test_a_guest_sees_who_shares_a_project_or_a_task(find, team, rows, api, test_gateway):
    assert names(await find("guest")) == ["Ruth"]
    join = "INSERT INTO tasks.project_member VALUES (uuidv7(), :w, :project, :user, 'editor', 1, now())"
    await rows(join, w=team["workspace"], project=team["Private"], user=team["guest"])
    assert names(await find("guest")) == ["Ada Lovelace", "Grace Hopper", "Ruth"]
    await rows(join, w=team["workspace"], project=team["Private"], user=team["other"])
    assert names(await find("guest")) == ["100%_/Ada", "Ada Lovelace", "Grace Hopper", "Ruth"]
    assert names(await find("guest", q="ada")) == ["Ada Lovelace"]
    await rows("DELETE FROM tasks.project_member WHERE project_id = :id", id=team["Private"])
    body = {"title": "a", "project_id": str(team["Open"])}
    made = await api.post("/api/v1/tasks", json=body, headers=test_gateway.headers(team["owner"]))
    share = "INSERT INTO tasks.task_share VALUES (uuidv7(), :w, :task, :user, 'viewer', :by, 1, now())"
    await rows(share, w=team["workspace"], task=made.json()["data"]["id"], user=team["guest"], by=team["owner"])
    assert names(await find("guest")) == EVERYBODY


async def test_a8_a_token_for_projects_sees_who_sees_them(find, team, test_gateway):
    for project, expected in (("Open", EVERYBODY[:4]), ("Private", ["Ada Lovelace", "Grace Hopper"])):
        headers = test_gateway.token_headers(team["owner"], "tasks:read", project_ids=[team[project]])
        assert names(await find("owner", headers)) == expected


async def test_a_deleted_user_is_shown_as_one_and_found_by_no_name(find, team, database, rows):
    async with transaction(database) as session:
        await repository.bury(session, team["other"], kind="human")
    entries = await find("owner")
    assert entries[-1] == {
        "id": str(team["other"]),
        "name": "Deleted user",
        "avatar_url": None,
        "kind": "human",
        "role": "member",
        "deleted": True,
    }
    assert names(await find("owner", q="100")) == []


async def test_who_is_not_known_yet_has_no_name(find, team, rows):
    await rows("DELETE FROM tasks.person WHERE id = :id", id=team["other"])
    assert (await find("owner"))[-1] | {"id": None} == {
        "id": None,
        "name": None,
        "avatar_url": None,
        "kind": "human",
        "role": "member",
        "deleted": False,
    }


async def test_a_search_is_two_statements_after_access_however_many_there_are(find, database, team):
    with statements_seen(database.reader) as seen:
        await find("owner")
        alone = len(seen)
        await find("guest", q="a", per_page=1)
    assert (alone, len(seen)) == (3, 6)
