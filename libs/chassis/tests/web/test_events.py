"""What a service says of its events: those that users get, in their public shape, with schemas."""

import httpx2
from chassis.outbox.contracts import EventContract
from chassis.web.app import create_app
from chassis.web.health import Health
from jsonschema import Draft202012Validator
from pydantic import BaseModel

CHANNELS = ("feed", "websocket")


class Author(BaseModel):
    name: str


class Note(BaseModel):
    id: str
    workspace_id: str
    author: Author


class Letter(BaseModel):
    id: str
    user_id: str
    workspace_id: str


ID = "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02"
PLACE = "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a03"
NOTE = {"id": ID, "workspace_id": PLACE, "author": {"name": "Ann"}}
CHANGED = ({"field": "title", "old": "a", "new": "b"},)


def contract(type_, resource, example, *, stream="workspace_id", channels=CHANNELS, **also):
    noun = type_.partition(".")[0]
    return EventContract(type_, "/notes", noun, "Done.", resource, example, stream, channels=channels, **also)


EVENTS = (
    contract("note.made.v1", Note, NOTE),
    contract("note.edited.v2", Note, NOTE, changed=CHANGED),
    contract("note.deleted.v1", Note, NOTE, reserved=True),
    contract("letter.come.v1", Letter, {"id": ID, "user_id": PLACE, "workspace_id": ID}, stream="user_id"),
    contract("note.mailed.v1", Note, NOTE, channels=()),
)


async def catalogue():
    app = create_app(title="Notes", routers=(), health=Health(), state={}, events=EVENTS)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://notes") as api:
        answer = await api.get("/internal/events")
    assert answer.status_code == 200
    return answer.json()


async def test_k7_a_service_tells_of_the_events_that_users_get():
    told = await catalogue()
    events = {event["type"]: event for event in told["events"]}
    assert list(events) == ["note.made", "note.edited", "note.deleted", "letter.come"]
    edited = events["note.edited"]
    assert (edited["noun"], edited["verb"], edited["schema_version"]) == ("note", "edited", 2)
    assert edited["channels"] == ["feed", "websocket"]
    assert [name for name, event in events.items() if event["reserved"]] == ["note.deleted"]
    assert edited["example"]["changes"] == [*CHANGED]
    assert "removed" not in edited["example"]
    assert events["note.deleted"]["example"]["removed"] == {"reason": "deleted"}
    assert (edited["example"]["workspace_id"], edited["example"]["subject"]) == (PLACE, ID)
    assert events["letter.come"]["example"]["workspace_id"] is None
    assert sorted(told["components"]["schemas"]) == ["Author", "Letter", "Note"]


async def test_k7_an_example_is_what_its_schema_says():
    told = await catalogue()
    for event in told["events"]:
        schema = {"components": told["components"], **event["resource"]}
        assert [*Draft202012Validator(schema).iter_errors(event["example"]["data"])] == []
