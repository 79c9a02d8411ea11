"""Every operation that changes anything, once: the same events in history, feed, WebSocket, stream and webhook (K7)."""

import json
import re
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx2
import pytest
from jsonschema import Draft202012Validator
from testkit.readers import FeedReader, HookReceiver, SocketReader, StreamReader, by_id, twice
from testkit.waiting import eventually

CONTRACTS = Path(__file__).parents[2] / "contracts"
SERVICES = ("tasks", "attachments")
PARAMETER = re.compile(r"{(\w+)}")
SHARED = (
    "seq",
    "event_id",
    "type",
    "workspace_id",
    "project_id",
    "task_id",
    "subject",
    "version",
    "changes",
    "actor",
    "data",
    "occurred_at",
    "origin_request_id",
    "removed",
)
"""What is the same wherever an event is told; the cursor is the reader's."""
CHANGES_NOTHING = {
    "check_permissions": "asks",
    "search_tasks": "asks",
    "create_snapshot": "asks",
    "replace_watch_rules": "is a setting of one's own",
    "resend_invitation": "mails nothing within a minute of the mail before",
}

ENDS_SIGHT = "delete_workspace"
"""Who has no access any more by it gets the last words on streams, and in the feed and by webhooks that it is so."""
LATER = {"project.purged", "task.purged"}
"""What no operation does, but time: the trash is emptied."""


@pytest.fixture(scope="module")
def copy_settings():
    return {"GATEWAY_RATE_LIMIT_PER_MINUTE": "100000", "GATEWAY_LOGIN_LIMIT_PER_MINUTE": "1000"}


def operations():
    """Every operation of the services with a change log that is no reading, by its id: method and path."""
    documents = [json.loads((CONTRACTS / "http" / f"{name}.openapi.json").read_text()) for name in SERVICES]
    return {
        operation["operationId"]: (method.upper(), path)
        for document in documents
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "get" and not path.startswith("/internal")
    }


class Channels:
    """All ways in which Ann is told."""

    def __init__(self, base_url, user):
        def headers():
            return user.headers

        self.feed = FeedReader(base_url, headers)
        self.socket = SocketReader(base_url, headers)
        self.stream = StreamReader(base_url, headers)
        self.hook = HookReceiver()

    def all(self):
        return {"websocket": self.socket, "feed": self.feed, "sse": self.stream, "webhook": self.hook}

    def of_request(self, channel, request_id):
        return by_id(event for event in self.all()[channel].events if event["origin_request_id"] == request_id)


class Doer:
    """Performs operations by their ids, and waits until each is told everywhere before the next."""

    def __init__(self, api, channels, user):
        self.api, self.channels, self.user = api, channels, user
        self.operations = operations()
        self.requests = {}

    async def __call__(self, operation, *, by=None, query=None, headers=None, status=range(200, 300), **values):
        method, path = self.operations[operation]
        for name in PARAMETER.findall(path):
            path = path.replace(f"{{{name}}}", values.pop(name))
        body = {name: values.pop(name) for name in ("json", "files", "content") if name in values}
        assert not values
        sent = {**(by or self.user).headers, **(headers or {})}
        answer = await self.api.request(method, path, params=query, headers=sent, **body)
        assert answer.status_code in status, (operation, answer.text)
        self.requests[operation] = answer.headers["x-request-id"]
        await self.told(operation)
        return answer.json().get("data") if answer.content else None

    async def told(self, operation):
        """Wait until each channel has what the feed has of the operation, which must be something."""
        request_id = self.requests[operation]
        if operation in CHANGES_NOTHING or operation == ENDS_SIGHT:
            return

        async def everywhere():
            await self.channels.feed.read_on(self.api)
            of = {name: self.channels.of_request(name, request_id).keys() for name in self.channels.all()}
            return len(set(map(frozenset, of.values()))) == 1 and of["websocket"]

        try:
            await eventually(everywhere, seconds=120)
        except TimeoutError:
            got = {name: self.channels.of_request(name, request_id) for name in self.channels.all()}
            types = {name: Counter(event["type"] for event in events.values()) for name, events in got.items()}
            pytest.fail(f"{operation}: {types}")


async def act(do, world):
    await marks(do, world)
    await projects(do, world)
    await tasks(do, world)
    await around_a_task(do, world)
    await many(do, world)
    await files(do, world)
    await people(do, world)


async def marks(do, world):
    place = {"workspace_id": world["workspace"]}
    category = (await do("create_category", json={"name": "Garden", **place}))["id"]
    await do("update_category", category_id=category, json={"name": "Balcony"})
    await do("delete_category", category_id=category)
    label = (await do("create_label", json={"name": "urgent", **place}))["id"]
    other = (await do("create_label", json={"name": "late", **place}))["id"]
    world["label"] = (await do("create_label", json={"name": "stays", **place}))["id"]
    await do("update_label", label_id=label, json={"color": "#c62828"})
    await do("merge_label", label_id=label, json={"into": other})
    await do("delete_label", label_id=other)
    saved = {"name": "Mine", "scope": "shared", "q": "priority = high", **place}
    made = (await do("create_filter", json=saved))["id"]
    await do("update_filter", filter_id=made, json={"name": "Ours"})
    await do("delete_filter", filter_id=made)


async def projects(do, world):
    place = {"workspace_id": world["workspace"]}
    world["project"] = project = (await do("create_project", json={"name": "Garden", **place}))["id"]
    await do("update_project", project_id=project, json={"name": "Kitchen garden"})
    await do("archive_project", project_id=project)
    await do("unarchive_project", project_id=project)
    await do("delete_project", project_id=project)
    await do("restore_project", project_id=project)
    review = {"name": "Review", "category": "in_progress"}
    status = (await do("create_status", project_id=project, json=review))["id"]
    await do("update_status", project_id=project, status_id=status, json={"name": "In review"})
    await do("delete_status", project_id=project, status_id=status)
    world["other"] = (await do("create_project", json={"name": "House", **place}))["id"]


async def tasks(do, world):
    place = {"project_id": world["project"]}
    world["task"] = task = (await do("create_task", json={"title": "Dig", **place}))["id"]
    await do("update_task", task_id=task, json={"title": "Dig deep"})
    shown = await do.api.get(f"/api/v1/tasks/{task}", headers=do.user.headers)
    whole = {name: shown.json()["data"][name] for name in world["replaced"]} | {"priority": "high"}
    await do("replace_task", task_id=task, json=whole, headers={"if-match": shown.headers["etag"]})
    await do("put_task_by_external_id", source="crm", external_id="7", json={"title": "Call", **place})
    await do("revert_task", task_id=task, json={"to_version": 1})
    second = (await do("create_task", json={"title": "Sow", **place}))["id"]
    await do("place_task", task_id=task, json={"after_id": second})
    await do("duplicate_task", task_id=task, json={})
    await do("move_task", task_id=second, json={"project_id": world["other"]})
    await do("delete_task", task_id=second)
    await do("restore_task", task_id=second)
    relation = (await do("create_relation", task_id=task, json={"task_id": second, "type": "blocks"}))["id"]
    await do("delete_relation", task_id=task, relation_id=relation)
    await do("update_task", task_id=second, json={"title": "Sow again"})
    await do("undo_operation", request_id=do.requests["update_task"])


async def around_a_task(do, world):
    of = {"task_id": world["task"]}
    ann, bob = do.user, world["bob"]
    await do("add_assignee", **of, json={"user_id": bob.id})
    await do("update_assignee", **of, user_id=bob.id, json={"state": "done"}, by=bob)
    await do("replace_assignees", **of, json={"user_ids": [ann.id]})
    await do("remove_assignee", **of, user_id=ann.id)
    await do("remove_watcher", **of, user_id=bob.id)
    await do("add_watcher", **of, json={"user_id": bob.id})
    await do("mute_task", **of)
    await do("unmute_task", **of)
    await do("star_task", **of)
    await do("unstar_task", **of)
    await do("put_share", **of, user_id=bob.id, json={"role": "commenter"})
    await do("put_share", **of, user_id=bob.id, json={"role": "viewer"})
    await do("remove_share", **of, user_id=bob.id)
    await do("put_task_label", **of, label_id=world["label"])
    await do("remove_task_label", **of, label_id=world["label"])
    own = (await do("create_label", json={"name": "mine", "personal": True}))["id"]
    await do("put_task_label", **of, label_id=own)
    await do("remove_task_label", **of, label_id=own)
    await do("put_task_metadata", **of, namespace="crm", query={"shared": "true"}, json={"stage": "offer"})
    await do("delete_task_metadata", **of, namespace="crm")
    item = (await do("add_checklist_item", **of, json={"text": "Spade"}))["id"]
    await do("update_checklist_item", **of, item_id=item, json={"done": True})
    await do("convert_checklist_item", **of, item_id=item)
    gone = (await do("add_checklist_item", **of, json={"text": "Rake"}))["id"]
    await do("delete_checklist_item", **of, item_id=gone)
    comment = (await do("create_comment", **of, json={"body": "How deep?"}))["id"]
    await do("update_comment", **of, comment_id=comment, json={"body": "How deep, please?"})
    await do("add_reaction", **of, comment_id=comment, emoji="👍")
    await do("remove_reaction", **of, comment_id=comment, emoji="👍")
    await do("delete_comment", **of, comment_id=comment)
    await do("replace_watch_rules", json={"assigned": True, "commented": True, "created": True, "mentioned": True})
    await do("check_permissions", json={"checks": [{"action": "task.edit", "resource": {"type": "task", **named(of)}}]})
    await do("search_tasks", json={"filter": {"field": "priority", "op": "=", "value": "high"}})


def named(of):
    return {"id": of["task_id"]}


async def many(do, world):
    place = {"project_id": world["project"]}
    made = [{"op": "create", "temp_id": f"t{n}", "data": {"title": f"Bed {n}", **place}} for n in range(3)]
    await do("bulk_change_tasks", json={"mode": "atomic", "operations": made})
    chosen = {"field": "project_id", "op": "=", "value": world["other"]}
    body = {"filter": chosen, "expected_count": 1, "patch": {"priority": "low"}}
    await do("bulk_change_tasks_by_filter", json=body)
    await do("sync", json={"operations": [{"op": "create", "data": {"title": "By sync", **place}}]})
    await do("create_export", json={"workspace_id": world["workspace"], "format": "ndjson"})
    lines = b'{"kind":"label","id":"0199d3b2-7a60-7c3d-9a11-5b1e3c7f9a21","name":"taken in"}\n'
    query = {"workspace_id": world["workspace"]}
    content_type = {"content-type": "application/x-ndjson"}
    await do("create_import", query=query, content=lines, headers=content_type)
    lots = [{"op": "create", "data": {"title": f"Row {n}", **place}} for n in range(201)]
    body = {"mode": "partial", "operations": lots}
    started = await do.api.post("/api/v1/tasks/bulk", json=body, headers=do.user.headers)
    # At once, while there is something to cancel.
    await do("cancel_job", job_id=started.json()["data"]["id"])


async def files(do, world):
    file = {"file": ("plan.txt", b"Beds and paths")}
    attachment = (await do("create_attachment", task_id=world["task"], files=file))["id"]
    await do("delete_attachment", attachment_id=attachment)


async def people(do, world):
    of = {"workspace_id": world["workspace"]}
    bob = world["bob"]
    await do("update_workspace", **of, json={"name": "Allotment"})
    await do("put_project_member", project_id=world["project"], user_id=bob.id, json={"role": "manager"})
    await do("put_project_member", project_id=world["project"], user_id=bob.id, json={"role": "editor"})
    await do("remove_project_member", project_id=world["project"], user_id=bob.id)
    invited = await do("create_invitation", **of, json={"email": world["stranger"].email, "role": "guest"})
    await do("resend_invitation", **of, invitation_id=invited["id"])
    await do("revoke_invitation", **of, invitation_id=invited["id"])
    await do("create_invitation", **of, json={"email": world["cem"].email, "role": "guest"})
    token = await world["token_of"](world["cem"], 1)
    await do("decline_invitation", json={"token": token}, by=world["cem"])
    await do("update_member", **of, user_id=bob.id, json={"role": "admin"})
    await do("remove_member", **of, user_id=bob.id)
    await do("create_invitation", **of, json={"email": bob.email, "role": "member"})
    token = await world["token_of"](bob, 2)
    await do("accept_invitation", json={"token": token}, by=bob)
    await do("offboard_member", **of, user_id=bob.id, json={"unassign": True})
    await do("create_invitation", **of, json={"email": bob.email, "role": "member"})
    token = await world["token_of"](bob, 3)
    await do("accept_invitation", json={"token": token}, by=bob)
    other = (await do("create_workspace", json={"name": "Choir"}))["id"]
    await do("delete_workspace", workspace_id=other)
    await do("transfer_ownership", **of, json={"user_id": bob.id})


@pytest.fixture
async def world(api, confirmed, let_in, invitation_token):
    """Ann's workspace with Bob in it, and two others with confirmed addresses who are asked in."""
    ann, bob, cem, stranger = [await confirmed() for _ in range(4)]
    made = await api.post("/api/v1/workspaces", json={"name": "Garden"}, headers=ann.headers)
    workspace = made.json()["data"]["id"]

    await let_in(ann, workspace, bob)
    document = json.loads((CONTRACTS / "http" / "tasks.openapi.json").read_text())
    replaced = document["paths"]["/api/v1/tasks/{task_id}"]["put"]["requestBody"]["content"]["application/json"]
    found = {"workspace": workspace, "ann": ann, "bob": bob, "cem": cem, "stranger": stranger}
    return {**found, "token_of": invitation_token, "replaced": tuple(replaced["example"])}


async def history_of(api, user, path):
    """Return all entries, in pages."""
    found, cursor = [], None
    while True:
        params = {"per_page": 100} | ({} if cursor is None else {"cursor": cursor})
        page = (await api.get(path, params=params, headers=user.headers)).json()
        found += page["data"]
        cursor = page["meta"]["next_cursor"]
        if not page["meta"]["has_more"]:
            return found


def shared(event):
    return {name: event[name] for name in SHARED if name in event}


async def test_k7_every_operation_is_told_alike_on_every_channel(api, base_url, world):
    ann = world["ann"]
    channels = Channels(base_url, ann)
    do = Doer(api, channels, ann)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(channels.hook.listening())
        hook = {"url": channels.hook.url, "name": "All", "scope": {"type": "user"}}
        assert (await api.post("/api/v1/webhooks", json=hook, headers=ann.headers)).status_code == 201
        await channels.feed.read_on(api)
        await stack.enter_async_context(channels.socket.reading())
        await stack.enter_async_context(channels.stream.reading())
        await act(do, world)
        assert set(do.requests) | CHANGES_NOTHING.keys() >= set(do.operations), "an operation that nobody performs"
        await settled(channels, api, do.requests[ENDS_SIGHT])
    last = do.requests[ENDS_SIGHT]
    seen = {name: by_id(told(one.events, last)) for name, one in channels.all().items()}
    for name, one in channels.all().items():
        assert twice(one.counts()) == [], name
        assert seen[name].keys() == seen["feed"].keys(), name
        different = [
            (event["type"], shared(event), shared(seen["feed"][event_id]))
            for event_id, event in seen[name].items()
            if shared(event) != shared(seen["feed"][event_id])
        ]
        assert different == [], name
    compare_last_words(channels, last)
    await compare_with_history(api, world, seen["feed"].values())
    await compare_with_registry(api, seen["websocket"].values())
    changed = sorted({one["field"] for event in seen["feed"].values() for one in event["changes"]})
    for fields in (changed[:50], changed[50:]):
        wanted = {**hook, "changed_fields": fields}
        assert (await api.post("/api/v1/webhooks", json=wanted, headers=ann.headers)).status_code == 201


def told(events, last):
    """Return what is of a workspace and not the end of one."""
    return [one for one in events if one["workspace_id"] is not None and one["origin_request_id"] != last]


async def settled(channels, api, last):
    async def alike():
        await channels.feed.read_on(api)
        ids = [frozenset(event["event_id"] for event in told(one.events, last)) for one in channels.all().values()]
        return len(set(ids)) == 1

    # What differs is told by the comparison.
    with suppress(TimeoutError):
        await eventually(alike, seconds=120)


def compare_last_words(channels, last):
    """Streams tell the end of a workspace to who was in it; the feed and webhooks, that one is not in it any more."""
    words = {name: [*channels.of_request(name, last).values()] for name in channels.all()}
    types = {name: sorted(event["type"] for event in events) for name, events in words.items()}
    ended = ["member.removed", "workspace.deleted"]
    assert types == {"feed": ["member.removed"], "websocket": ended, "sse": ended, "webhook": ["member.removed"]}
    for (event,) in (words["feed"], words["webhook"]):
        assert (event["removed"], event["data"], event["changes"]) == ({"reason": "access_lost"}, None, [])


async def compare_with_history(api, world, events):
    """All of the workspace is in its audit, and what is of a task in the history of that."""
    workspace, ann = world["workspace"], world["ann"]
    audit = {one["event_id"]: one for one in await history_of(api, ann, f"/api/v1/workspaces/{workspace}/audit")}
    expected = {event["event_id"]: event for event in events if event["workspace_id"] == workspace}
    missing = [event["type"] for event_id, event in expected.items() if event_id not in audit]
    assert missing == []
    for event_id, event in expected.items():
        entry = audit[event_id]
        told = (entry["seq"], entry["type"], entry["entity_id"], entry["version"], entry["request_id"])
        assert told == tuple(event[name] for name in ("seq", "type", "subject", "version", "origin_request_id"))
    task = world["task"]
    history = {one["event_id"] for one in await history_of(api, ann, f"/api/v1/tasks/{task}/history")}
    assert history >= {event_id for event_id, event in expected.items() if event["task_id"] == task}


async def compare_with_registry(api, events):
    """What was told is registered for where it was told, and looks as its schema says."""
    listed = {one["type"]: one for one in (await api.get("/api/v1/meta/events")).json()["data"]}
    validators = {}
    for event in events:
        entry = listed[event["type"]]
        assert {"history", "feed", "websocket", "sse", "webhook"} <= set(entry["channels"])
        assert not entry["reserved"]
        if event["type"] not in validators:
            answer = await api.get(httpx2.URL(entry["schema_url"]).raw_path.decode())
            validators[event["type"]] = Draft202012Validator(answer.json())
        assert [error.message for error in validators[event["type"]].iter_errors(event)] == [], event["type"]
    unseen = {name for name, one in listed.items() if "feed" in one["channels"] and not one["reserved"]} - set(
        validators
    )
    # That is among the last words.
    assert unseen == LATER | {"workspace.deleted"}
