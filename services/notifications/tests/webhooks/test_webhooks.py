"""Making, changing and ending webhooks, and who may."""

import asyncio
import json
from pathlib import Path

import pytest
from chassis.ids import uuid7
from notifications_service.webhooks.rules import EVENT_NAMES, FIELD_NAMES

PUBLIC = Path(__file__).parents[4] / "contracts" / "events" / "public"
ABSENT = "0199d3b2-7c10-7d3d-9a11-5b1e3c7f9a61"


def codes(answer):
    return [(one["code"], one["field"]) for one in answer.json()["errors"]]


def of_workspace(place):
    return {"type": "workspace", "id": str(place.workspace)}


def of_project(place):
    return {"type": "project", "id": str(place.project)}


ME = {"type": "user"}


async def test_k6_a_webhook_is_made_with_a_secret_that_is_told_once(owner, place, rows):
    answer = await owner.post("", url="https://hooks.example.com/taskloom?a=b", scope=of_workspace(place))
    assert answer.status_code == 201
    data = answer.json()["data"]
    secret = data.pop("secret")
    assert answer.headers["location"] == f"/api/v1/webhooks/{data['id']}"
    assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"1"', "no-store")
    assert data == {
        "id": data["id"],
        "url": "https://hooks.example.com/taskloom?a=b",
        "name": "Webhook",
        "scope": of_workspace(place),
        "events": ["*"],
        "project_ids": [],
        "changed_fields": [],
        "filter": None,
        "payload": "full",
        "enabled": True,
        "disabled_reason": None,
        "failing_since": None,
        "secret_overlap_until": None,
        "owner_id": str(place.people["owner"]),
        "version": 1,
        "created_at": data["created_at"],
        "updated_at": data["created_at"],
        "last_delivery": None,
    }
    found = await owner.get(f"/{data['id']}")
    assert found.json()["data"] == data
    assert found.headers["etag"] == '"1"'
    assert secret.startswith("whsec_")
    assert len(secret) == 6 + 44
    [(sealed,)] = await rows("SELECT secret_sealed FROM notifications.webhook")
    assert sealed.startswith("v1.k1.")
    assert secret.removeprefix("whsec_") not in sealed


async def test_k6_a_key_makes_one_webhook_and_its_secret_is_not_repeated(owner, place):
    body = {"url": "https://hooks.example.com/", "scope": of_workspace(place)}
    first = await owner.post("", more={"idempotency-key": "one"}, **body)
    again = await owner.post("", more={"idempotency-key": "one"}, **body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["data"] == {**first.json()["data"], "secret": None}
    assert len((await owner.get()).json()["data"]) == 1


@pytest.mark.parametrize(
    ("who", "workspace", "project", "private"),
    [
        ("owner", 201, 201, 201),
        ("admin", 201, 201, 201),
        ("manager", 403, 201, 201),
        ("member", 403, 403, 422),
        ("guest", 403, 422, 422),
        ("stranger", 422, 422, 422),
    ],
)
async def test_k6_who_may_make_which(acting, place, rows, who, workspace, project, private):
    caller = acting(who)
    scopes = (of_workspace(place), of_project(place), {"type": "project", "id": str(place.private)}, ME)
    answers = [await caller.post("", url="https://hooks.example.com/", scope=scope) for scope in scopes]
    assert [one.status_code for one in answers] == [workspace, project, private, 201]
    hidden = [one for one in answers if one.status_code == 422]
    assert {tuple(codes(one)) for one in hidden} <= {(("SCOPE_NOT_FOUND", "scope.id"),)}
    [(count,)] = await rows("SELECT count(*) FROM notifications.webhook")
    assert count == sum(one.status_code == 201 for one in answers)


async def test_k6_what_is_hidden_is_refused_as_what_is_absent(acting, place):
    caller = acting("stranger")
    for kind, hidden in (("workspace", place.workspace), ("project", place.project), ("project", place.private)):
        bodies = [
            await caller.post("", url="https://hooks.example.com/", scope={"type": kind, "id": str(one)})
            for one in (hidden, uuid7())
        ]
        shown = [{**one.json(), "meta": None} for one in bodies]
        assert shown[0] == shown[1]


async def test_k6_of_oneself_and_nobody_else(acting, place):
    other = {"type": "user", "id": str(place.people["admin"])}
    assert codes(await acting("owner").post("", url="https://hooks.example.com/", scope=other)) == [
        ("SCOPE_NOT_FOUND", "scope.id")
    ]
    mine = await acting("owner").create(scope={"type": "user", "id": str(place.people["owner"])})
    assert mine["scope"] == {"type": "user", "id": str(place.people["owner"])}


@pytest.fixture
async def made(acting, place):
    """Webhooks of the workspace, of its projects and of single users, by name."""
    return {
        "workspace": await acting("admin").create(scope=of_workspace(place)),
        "project": await acting("manager").create(scope=of_project(place)),
        "private": await acting("manager").create(scope={"type": "project", "id": str(place.private)}),
        "mine": await acting("member").create(scope=ME),
    }


SIGHT = [
    ("owner", {"workspace": 403, "project": 403, "private": 403}),
    ("admin", {"workspace": 200, "project": 403, "private": 403}),
    ("manager", {"project": 200, "private": 200}),
    ("member", {"mine": 200}),
    ("guest", {}),
    ("stranger", {}),
]
FOR_OWNERS = ("enable", "rotate-secret", "test")


@pytest.mark.parametrize(("who", "seen"), SIGHT)
async def test_k6_who_sees_and_changes_which(acting, made, rows, who, seen):
    caller = acting(who)
    listed = [one["id"] for one in (await caller.get()).json()["data"]]
    assert listed == [made[name]["id"] for name in ("workspace", "project", "private", "mine") if name in seen]
    before = await rows("SELECT id, version FROM notifications.webhook ORDER BY id")
    for name, webhook in made.items():
        path = f"/{webhook['id']}"
        shown = 200 if name in seen else 404
        assert (await caller.get(path)).status_code == shown
        assert (await caller.get(f"{path}/deliveries")).status_code == shown
        if seen.get(name) != 200:
            refused = seen.get(name, 404)
            assert (await caller.patch(path, url="https://elsewhere.example.com/")).status_code == refused
            assert (await caller.patch(path, enabled=True)).status_code == refused
            for action in FOR_OWNERS:
                assert (await caller.post(f"{path}/{action}")).status_code == refused
            assert (await caller.post(f"{path}/replay", from_cursor="x")).status_code in {refused, 400}
    assert await rows("SELECT id, version FROM notifications.webhook ORDER BY id") == before


async def test_k6_what_is_hidden_is_answered_as_what_is_absent(acting, made):
    caller = acting("member")
    for method, path in (("get", ""), ("delete", ""), ("get", "/deliveries"), ("post", "/test")):
        answers = [await getattr(caller, method)(f"/{webhook}{path}") for webhook in (made["workspace"]["id"], ABSENT)]
        assert {one.status_code for one in answers} == {404}
        shown = [{**one.json(), "meta": None} for one in answers]
        assert shown[0] == shown[1]


@pytest.mark.parametrize("who", ["owner", "admin"])
async def test_k6_who_manages_a_scope_ends_every_webhook_of_it(acting, made, who):
    caller = acting(who)
    ended = await caller.patch(f"/{made['project']['id']}", enabled=False)
    assert ended.status_code == 200
    assert (ended.json()["data"]["enabled"], ended.json()["data"]["disabled_reason"]) == (False, "owner")
    assert (await caller.delete(f"/{made['private']['id']}")).status_code == 200
    assert (await acting("manager").get(f"/{made['private']['id']}")).status_code == 404


async def test_k6_one_who_is_out_of_the_workspace_sees_only_what_is_its_own(acting, made, world, feed, place):
    await feed.keep(
        world.leaves(place.people["admin"]), world.role_in(place.project, place.people["manager"], "removed")
    )
    assert [one["id"] for one in (await acting("admin").get()).json()["data"]] == [made["workspace"]["id"]]
    assert (await acting("admin").get(f"/{made['project']['id']}")).status_code == 404


async def test_k6_a_restricted_token_sees_what_is_within_its_restriction(acting, made, place):
    everything = {"workspace", "project", "private", "mine"}
    within = [
        ({"workspace_id": place.workspace}, everything - {"mine"}),
        ({"workspace_id": uuid7()}, set()),
        ({"project_ids": [place.project]}, {"project"}),
        ({"project_ids": [uuid7()]}, set()),
    ]
    mine = await acting("owner").create(scope=ME)
    for restriction, names in within:
        caller = acting("owner", **restriction)
        listed = {one["id"] for one in (await caller.get()).json()["data"]}
        assert listed == {made[name]["id"] for name in names}
        assert (await caller.get(f"/{mine['id']}")).status_code == 404
    assert len((await acting("owner", read_only=True).get()).json()["data"]) == 4


@pytest.mark.parametrize(
    ("token", "workspace", "project", "user"),
    [
        ({"scopes": ["webhooks:manage"]}, 201, 201, 201),
        ({"scopes": ["tasks:write"]}, 403, 403, 403),
        ({"read_only": True}, 403, 403, 403),
        ({"workspace": True}, 201, 201, 403),
        ({"projects": True}, 403, 201, 403),
        ({"elsewhere": True}, 422, 422, 403),
    ],
)
async def test_k6_a_restricted_token_makes_nothing_beyond_its_restriction(
    acting, place, token, workspace, project, user
):
    restriction = {
        **({"workspace_id": place.workspace} if token.pop("workspace", False) else {}),
        **({"project_ids": [place.project]} if token.pop("projects", False) else {}),
        **({"workspace_id": uuid7()} if token.pop("elsewhere", False) else {}),
    }
    caller = acting("owner", **{**token, **restriction})
    scopes = (of_workspace(place), of_project(place), ME)
    answers = [await caller.post("", url="https://hooks.example.com/", scope=scope) for scope in scopes]
    assert [one.status_code for one in answers] == [workspace, project, user]


async def test_k6_a_patch_changes_what_it_names_once(owner, place):
    webhook = await owner.create(scope=of_workspace(place))
    path = f"/{webhook['id']}"
    changed = await owner.patch(
        path, name=" Mine ", events=["task.*", "task.*"], changed_fields=["status"], filter="priority = high"
    )
    data = changed.json()["data"]
    assert (data["name"], data["events"], data["changed_fields"]) == ("Mine", ["task.*"], ["status"])
    assert data["filter"] == {"field": "priority", "op": "=", "value": "high"}
    assert (data["version"], changed.headers["etag"]) == (2, '"2"')
    same = await owner.patch(path, name="Mine", filter={"field": "priority", "op": "=", "value": "high"})
    assert same.json()["data"]["version"] == 2
    assert (await owner.patch(path, filter=None)).json()["data"]["filter"] is None
    stale = await owner.patch(path, more={"if-match": '"2"'}, name="Other")
    assert (stale.status_code, codes(stale)) == (412, [("VERSION_CONFLICT", None)])
    assert stale.json()["data"]["current"]["version"] == 3
    assert (await owner.patch(path, more={"if-match": '"3"'}, name="Other")).status_code == 200
    assert codes(await owner.patch(path, scope=ME)) == [("READ_ONLY_FIELD", "scope")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"events": ["task.update"]}, ("UNKNOWN_EVENT", "events.0")),
        ({"events": ["task.*", "nothing.*"]}, ("UNKNOWN_EVENT", "events.1")),
        ({"events": []}, ("TOO_FEW", "events")),
        ({"payload": "fat"}, ("NOT_ALLOWED", "payload")),
        ({"filter": "priority = highest"}, ("VALUE_NOT_ALLOWED", "filter")),
        ({"filter": "colour = red"}, ("UNKNOWN_FIELD", "filter")),
        ({"filter": "(("}, ("INVALID_FILTER", "filter")),
        ({"project_ids": ["x"]}, ("INVALID_ID", "project_ids.0")),
        ({"changed_fields": [""]}, ("TOO_SHORT", "changed_fields.0")),
        ({"changed_fields": ["status", "titel"]}, ("UNKNOWN_FIELD", "changed_fields.1")),
        ({"name": " "}, ("TOO_SHORT", "name")),
        ({"name": "two\nlines"}, ("INVALID_FORMAT", "name")),
        ({"scope": {"type": "galaxy"}}, ("NOT_ALLOWED", "scope.type")),
        ({"scope": {"type": "workspace"}}, ("SCOPE_NOT_FOUND", "scope.id")),
        ({"enabled": "yes"}, ("WRONG_TYPE", "enabled")),
        ({"secret": "whsec_mine"}, ("UNKNOWN_FIELD", "secret")),
        ({"url": "http://user:password@10.0.0.1/"}, ("URL_NOT_ALLOWED", "url")),
        ({"url": "https://10.0.0.1/"}, ("URL_NOT_ALLOWED", "url")),
        ({"url": "https://169.254.169.254/latest"}, ("URL_NOT_ALLOWED", "url")),
        ({"url": "ftp://hooks.example.com/"}, ("URL_NOT_ALLOWED", "url")),
    ],
)
async def test_k6_what_is_not_valid_is_told_by_field(owner, place, rows, body, expected):
    given = {"url": "https://hooks.example.com/", "scope": of_workspace(place), **body}
    answer = await owner.post("", **given)
    assert answer.status_code in {400, 422}
    assert codes(answer) == [expected]
    assert "10.0.0.1" not in answer.text
    assert await rows("SELECT id FROM notifications.webhook") == []


async def test_r62_a_url_is_looked_at_in_changes_too(owner, place):
    webhook = await owner.create(scope=of_workspace(place))
    refused = await owner.patch(f"/{webhook['id']}", url="https://10.0.0.1/")
    assert codes(refused) == [("URL_NOT_ALLOWED", "url")]


async def test_k6_the_closest_event_and_field_are_named(owner, place):
    async def hints(**wanted):
        answer = await owner.post("", url="https://hooks.example.com/", scope=of_workspace(place), **wanted)
        return [one.get("hint") for one in answer.json()["errors"]]

    told = await hints(events=["task.update", "comments.*"])
    assert told == ["did you mean task.updated?", "did you mean comment.*?"]
    told = await hints(changed_fields=["titel", "due_at"])
    assert told == ["did you mean title?", "did you mean due_date?"]


async def test_k6_twenty_webhooks_of_a_scope_and_no_more(owner, place, rows):
    body = {"url": "https://hooks.example.com/", "scope": of_workspace(place)}
    answers = await asyncio.gather(*(owner.post("", **body) for _ in range(30)))
    assert sorted(one.status_code for one in answers) == [201] * 20 + [409] * 10
    assert codes(next(one for one in answers if one.status_code == 409)) == [("TOO_MANY_WEBHOOKS", None)]
    assert (await owner.post("", url="https://hooks.example.com/", scope=of_project(place))).status_code == 201
    found = (await owner.get(scope_type="workspace")).json()["data"]
    assert (await owner.delete(f"/{found[0]['id']}", prefer="return=minimal")).status_code == 204
    assert (await owner.post("", **body)).status_code == 201
    assert await rows("SELECT count(*) FROM notifications.webhook WHERE deleted_at IS NULL") == [(21,)]


async def test_k6_a_list_can_be_narrowed(acting, made, place):
    async def listed(**wanted):
        return [one["id"] for one in (await acting("owner").get(**wanted)).json()["data"]]

    assert await listed(scope_type="project") == [made["project"]["id"], made["private"]["id"]]
    assert await listed(scope_id=str(place.private)) == [made["private"]["id"]]
    assert await listed(workspace_id=str(uuid7())) == []
    page = await acting("owner").get(per_page=1, page=2)
    assert [one["id"] for one in page.json()["data"]] == [made["project"]["id"]]
    assert page.json()["meta"]["total"] == 3


def test_k12_webhooks_know_every_field_of_what_events_are_about():
    shown = set()
    for name in EVENT_NAMES:
        schema = json.loads((PUBLIC / f"{name}.schema.json").read_text())
        for one in schema["properties"]["data"]["anyOf"]:
            shown |= {*schema["$defs"][one["$ref"].rpartition("/")[2]]["properties"]} if "$ref" in one else set()
    # What every change changes is told of none, and three changes have no field in what they are about.
    assert set(FIELD_NAMES) == (shown - {"version", "updated_at"}) | {"is_starred", "is_there", "watchers"}


def test_k7_webhooks_know_every_event_that_users_get():
    told = {path.name.removesuffix(".schema.json") for path in PUBLIC.glob("*.schema.json")}
    assert len(told) >= 60
    assert set(EVENT_NAMES) == {name for name in told if not name.startswith(("notification.", "channel."))}
