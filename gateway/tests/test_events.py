"""The catalogue of events: one registry, told as a list, as schemas, as AsyncAPI and as a page (K7, O2)."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from gateway.api import EVENT_TYPE_EXAMPLE
from gateway.event_page import CHANNELS as EXPLAINED
from gateway.live_messages import ANSWERS, FROM_CLIENTS, ON_STREAMS, TO_CLIENTS
from jsonschema import Draft7Validator, Draft202012Validator
from testkit.waiting import eventually

CONTRACTS = Path(os.environ.get("CONTRACTS_FOLDER", Path(__file__).parents[2] / "contracts" / "http")).parent
PUBLIC = CONTRACTS / "events" / "public"
OFFICIAL = Path(__file__).parent / "asyncapi" / "3.0.0.json"
"""The JSON Schema of AsyncAPI 3.0.0 as its makers publish it."""


class Thing:
    """What a service says of events about things."""

    def __init__(self, noun="thing", field="name", model="Thing"):
        self.noun, self.field, self.model = noun, field, model

    def event(self, verb, *, channels=("feed", "websocket", "sse", "webhook"), reserved=False):
        name = f"{self.noun}.{verb}"
        return {
            "type": name,
            "noun": self.noun,
            "verb": verb,
            "schema_version": 1,
            "description": f"A {self.noun} was {verb} <by somebody>.",
            "channels": list(channels),
            "reserved": reserved,
            "since": "0.1.0",
            "example": {"type": name, "data": {self.field: "<b>"}, "occurred_at": "2026-11-24T09:00:00Z"},
            "resource": {"$ref": f"#/components/schemas/{self.model}"},
        }

    def registry(self, *events):
        resource = {"type": "object", "required": [self.field], "properties": {self.field: {"type": "string"}}}
        return {"events": list(events), "components": {"schemas": {self.model: resource}}}


@pytest.fixture
def registries(services):
    """Nothing to tell of, and that again when a test is over."""
    nothing = {"events": [], "components": {"schemas": {}}}
    for service in services.named().values():
        service.events = nothing
    yield services
    for service in services.named().values():
        service.events = nothing


@pytest.fixture
async def told(start, registries):
    """A gateway before two services with events; both call what theirs are about the same."""
    things, others = Thing(), Thing("other", "title")
    registries.tasks.events = things.registry(
        things.event("made"), things.event("lost", channels=("feed", "history")), things.event("due", reserved=True)
    )
    registries.notifications.events = others.registry(others.event("read", channels=("websocket", "sse")))
    async with start(public_base_url="https://tasks.example") as gateway, gateway.client() as api:
        yield api


async def listed(api, **params):
    answer = await api.get("/api/v1/meta/events", params=params)
    assert answer.status_code == 200
    return [event["type"] for event in answer.json()["data"]]


async def test_k7_the_list_has_every_type_of_every_service(told):
    answer = await told.get("/api/v1/meta/events")
    events = {event["type"]: event for event in answer.json()["data"]}
    assert list(events) == ["other.read", "thing.due", "thing.lost", "thing.made"]
    made = Thing().event("made")
    del made["resource"]
    address = events["thing.made"].pop("schema_url")
    assert address.endswith("/docs/events/thing.made.json")
    assert events["thing.made"] == made
    assert events["thing.due"]["reserved"]
    assert answer.headers["cache-control"] == "public, max-age=30"


async def test_k7_the_list_is_narrowed_by_channel_and_words(told):
    assert await listed(told, channel="webhook") == ["thing.due", "thing.made"]
    assert await listed(told, channel="history") == ["thing.lost"]
    assert await listed(told, channel="notification") == []
    assert await listed(told, q="THING lost") == ["thing.lost"]
    assert await listed(told, q="somebody", channel="sse") == ["other.read", "thing.due", "thing.made"]
    assert await listed(told, q="nobody") == []


@pytest.mark.parametrize(
    ("params", "code"),
    [({"channel": "pigeon"}, "NOT_ALLOWED"), ({"q": "x" * 101}, "TOO_LONG"), ({"kind": "sse"}, "UNKNOWN_PARAMETER")],
)
async def test_list_of_events_422(told, params, code):
    answer = await told.get("/api/v1/meta/events", params=params)
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == [code]
    assert "pigeon" not in answer.text


async def test_schemas_of_one_name_are_kept_apart_and_each_is_complete(told):
    for name, needed in (("thing.made", "name"), ("other.read", "title")):
        answer = await told.get(f"/docs/events/{name}.json")
        assert answer.headers["content-type"] == "application/schema+json"
        schema = answer.json()
        Draft202012Validator.check_schema(schema)
        data = {"$defs": schema["$defs"], **schema["properties"]["data"]}
        validator = Draft202012Validator(data)
        assert validator.is_valid({needed: "x"})
        assert validator.is_valid(None)
        assert not validator.is_valid({"other": "x"})


@pytest.mark.parametrize("name", ["thing.made", "thing.none.json", ".json", "thing.made.v1.json", "events.html"])
async def test_schema_that_is_none_404(told, is_refused, name):
    is_refused(await told.get(f"/docs/events/{name}"), 404, "ROUTE_NOT_FOUND")


async def test_events_of_a_service_that_is_of_before_or_away_come_later(start, registries):
    services = registries
    services.attachments.events = {}
    services.tasks.events = Thing().registry(Thing().event("made"))
    async with start() as gateway, gateway.client() as api:
        assert await listed(api) == ["thing.made"]
        services.attachments.events = Thing("file").registry(Thing("file").event("put"))

        async def healed():
            return await listed(api) == ["file.put", "thing.made"]

        assert await eventually(healed, seconds=5)
        services.tasks.events = ["broken"]
        assert await listed(api) == ["file.put", "thing.made"]


async def test_o2_asyncapi_is_of_the_channels_and_the_address(start, told):
    async with start(public_base_url="https://tasks.example") as gateway, gateway.client() as api:
        document = (await api.get("/asyncapi.json")).json()
    assert [
        problem.message for problem in Draft7Validator(json.loads(OFFICIAL.read_text())).iter_errors(document)
    ] == []
    assert [(one["host"], one["protocol"]) for one in document["servers"].values()] == [
        ("tasks.example", "wss"),
        ("tasks.example", "https"),
        ("{host}", "https"),
    ]
    own = {one["name"] for one in (*TO_CLIENTS, *FROM_CLIENTS)}
    messages = {name: set(channel["messages"]) for name, channel in document["channels"].items()}
    assert messages == {
        "websocket": {"other.read", "thing.due", "thing.made"} | own,
        "sse": {"other.read", "thing.due", "thing.made"} | ON_STREAMS,
        "webhook": {"thing.due.webhook", "thing.made.webhook"},
    }
    assert document["components"]["messages"]["thing.due"]["x-reserved"]
    assert document["components"]["messages"]["thing.lost"]["x-channels"] == ["feed", "history"]


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def resolved(document, reference):
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


@pytest.fixture(scope="module")
def committed():
    return json.loads((CONTRACTS / "events.asyncapi.json").read_text())


def test_o2_the_committed_document_is_valid_and_refers_to_what_is_there(committed):
    official = Draft7Validator(json.loads(OFFICIAL.read_text()))
    assert [(problem.json_path, problem.message) for problem in official.iter_errors(committed)] == []
    found = set(references(committed))
    assert len(found) > 200
    for reference in found:
        assert resolved(committed, reference), reference


def test_o2_every_message_of_the_committed_document_is_shown_as_it_is(committed):
    messages = committed["components"]["messages"]
    assert len(messages) >= 2 * 60
    for name, message in messages.items():
        schema = {"components": committed["components"], **message["payload"]}
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        examples = [one["payload"] for one in message["examples"]]
        assert examples, name
        for example in examples:
            assert [problem.message for problem in validator.iter_errors(example)] == [], name


def test_k7_every_event_has_a_schema_and_an_example_in_its_public_shape(committed):
    examples = {path.name.removesuffix(".example.json"): path for path in PUBLIC.glob("*.example.json")}
    schemas = {path.name.removesuffix(".schema.json"): path for path in PUBLIC.glob("*.schema.json")}
    own = {one["name"] for one in (*TO_CLIENTS, *FROM_CLIENTS)}
    names = {name for name in committed["components"]["messages"] if not name.endswith(".webhook")} - own
    assert examples.keys() == schemas.keys() == names
    for name, path in schemas.items():
        schema, example = json.loads(path.read_text()), json.loads(examples[name].read_text())
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        assert [problem.message for problem in validator.iter_errors(example)] == [], name
        assert example["type"] == name
        assert not validator.is_valid({**example, "type": "nothing.happened"})


def test_k7_every_channel_is_explained_and_every_event_is_on_one(committed):
    messages = committed["components"]["messages"]
    used = {channel for message in messages.values() for channel in message.get("x-channels", ())}
    assert used == set(EXPLAINED) == set(EVENT_TYPE_EXAMPLE["channels"])
    events = [message for message in messages.values() if "x-channels" in message]
    assert all(message["x-channels"] for message in events)


def test_every_message_of_a_client_is_answered():
    assert ANSWERS.keys() == {one["name"] for one in FROM_CLIENTS}
    answered = {name for names in ANSWERS.values() for name in names}
    assert answered <= {one["name"] for one in TO_CLIENTS}


class Page(HTMLParser):
    """Anchors, links and tags of a page."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.tags = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.add(tag)
        if "id" in attributes:
            assert attributes["id"] not in self.anchors
            self.anchors.add(attributes["id"])
        self.links |= {attributes[name] for name in ("href", "src") if name in attributes}


async def test_page_of_events_needs_nothing_else_and_every_event_has_an_anchor(told):
    answer = await told.get("/docs/events")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = Page(answer.text)
    assert not page.tags & {"script", "link", "img", "iframe"}
    events = {"other.read", "thing.due", "thing.lost", "thing.made"}
    assert page.anchors == events | {"other", "thing"}
    inside, outside = {link for link in page.links if link.startswith("#")}, page.links
    assert inside == {f"#{anchor}" for anchor in page.anchors}
    assert outside - inside == {"/docs", "/asyncapi.json", *(f"/docs/events/{name}.json" for name in events)}
    for link in outside - inside:
        assert (await told.get(link)).status_code == 200
    assert "&lt;by somebody&gt;" in answer.text
    assert "<by somebody>" not in answer.text
    assert "<b>" not in answer.text
    assert len(re.findall("Reserved", answer.text)) == 1


@pytest.mark.parametrize("path", ["/docs/events", "/asyncapi.json", "/api/v1/meta/events"])
async def test_documents_of_events_need_no_token(told, path):
    assert (await told.get(path)).status_code == 200
