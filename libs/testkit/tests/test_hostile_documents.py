"""What attacks are made of a document, and what is seen in answers to them."""

import httpx2
import pytest
from testkit.hostile.answers import attacked
from testkit.hostile.documents import Asked, Attacks, moved
from testkit.hostile.values import MARKER

NOTE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title"],
    "properties": {
        "title": {"type": "string", "maxLength": 50},
        "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "links": {"type": "array", "maxItems": 2, "items": {"$ref": "#/components/schemas/Link"}},
    },
}
LINK = {"type": "object", "required": ["to"], "properties": {"to": {"type": "string", "format": "uuid"}}}
PARAMETERS = [
    {"name": "note_id", "in": "path", "schema": {"type": "string", "format": "uuid"}},
    {"name": "page", "in": "query", "schema": {"type": "integer", "minimum": 1}},
    {"name": "if-match", "in": "header", "schema": {"type": "string"}},
]
BODY = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Note"}}}}
OPERATION = {"operationId": "update_note", "parameters": PARAMETERS, "requestBody": BODY, "responses": {}}
DOCUMENT = {
    "paths": {"/notes/{note_id}": {"patch": OPERATION}},
    "components": {"schemas": {"Note": NOTE, "Link": LINK}},
}
ID, OTHER = "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11", "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a12"
ATTACKS = Attacks(DOCUMENT)
ASKED = Asked("PATCH", f"/notes/{ID}", {"title": "a"})


def by_name():
    return {attack.name: attack for attack in ATTACKS.on("update_note", ASKED)}


def test_every_field_and_parameter_is_attacked():
    names = by_name()
    for name in ("title", "size", "links", "links.0", "links.0.to"):
        assert names[f"{name}: NUL"].refused
    assert b'"to":"%b\\u0000"' % MARKER.encode() in names["links.0.to: NUL"].content
    assert names["?page: NUL"].path == f"/notes/{ID}?page={MARKER}%00"
    assert names["/note_id: no id"].path == f"/notes/{MARKER}"
    assert names["if-match: b'7'"].headers["if-match"] == b"7"


def test_what_the_document_refuses_is_sent_together_and_what_it_allows_alone():
    names = by_name()
    together = names["size, links: text"]
    assert (together.refused, together.about) == (True, ("size", "links"))
    assert [part.name for part in together.parts] == ["size: text", "links: text"]
    assert (names["size: null"].refused, names["title: empty text"].refused) == (False, False)


def test_a_request_is_made_of_the_document_alone():
    assert ATTACKS.asked("update_note", note_id=OTHER) == Asked("PATCH", f"/notes/{OTHER}", {"title": "a"})


def test_an_attack_is_moved_to_another_object():
    attack = moved(by_name()["title: empty text"], ASKED, Asked("PATCH", f"/notes/{OTHER}", {"title": "a"}))
    assert (attack.path, attack.content) == (f"/notes/{OTHER}", b'{"title":""}')


GOOD = {
    "success": False,
    "data": None,
    "message": "Some of the input is not valid.",
    "errors": [{"field": "title", "code": "TOO_LONG", "message": "This is longer than 50 characters."}],
    "meta": {"request_id": "r"},
}


async def complaints(status, body):
    """What is wrong with an answer to a title with a NUL."""
    headers = {"x-request-id": "r"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, json=body, headers=headers))
    async with httpx2.AsyncClient(transport=transport, base_url="http://notes") as api:
        attack = by_name()["title: NUL"]
        return (await attacked(api, ASKED, attack, {}))[1]


async def test_a_refusal_in_the_envelope_is_right():
    assert await complaints(422, GOOD) == []


@pytest.mark.parametrize(
    ("status", "changed", "complaint"),
    [
        (500, {}, "answered 500"),
        (200, {}, "answered 200 to what has to be refused"),
        (422, {"success": True}, "is no envelope"),
        (422, {"errors": []}, "is no envelope"),
        (422, {"more": 1}, "is no envelope"),
        (422, {"meta": {"request_id": "s"}}, "has another request id"),
        (422, {"data": {"a": 1}}, "has data"),
        (422, {"errors": [{**GOOD["errors"][0], "input": "a"}]}, "has a malformed entry"),
        (422, {"message": f"{MARKER} is wrong"}, "has the input"),
        (422, {"errors": [{**GOOD["errors"][0], "field": None}]}, "names ['None'] and not ['title']"),
        (422, {"errors": GOOD["errors"] * 999}, "bytes"),
    ],
)
async def test_what_is_wrong_with_a_refusal_is_seen(status, changed, complaint):
    (found,) = await complaints(status, {**GOOD, **changed})
    assert complaint in found
