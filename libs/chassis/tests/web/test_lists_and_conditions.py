"""Pages, Link headers and conditional requests."""

from uuid import UUID

import pytest
from chassis.web.preconditions import expected_version
from chassis.web.replies import content_etag

NOTES = "/api/v1/notes"
NOTE = f"{NOTES}/{UUID(int=1)}"


def code_of(answer):
    return answer.json()["errors"][0]["code"]


def links(answer):
    parts = answer.headers["link"].split(", ")
    return {part.split('rel="')[1].rstrip('"'): part.split(">")[0].removeprefix("<") for part in parts}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"first": "?page=1", "last": "?page=3", "next": "?page=2"}),
        ("?page=2", {"first": "?page=1", "last": "?page=3", "prev": "?page=1", "next": "?page=3"}),
        ("?page=3", {"first": "?page=1", "last": "?page=3", "prev": "?page=2"}),
        ("?page=9", {"first": "?page=1", "last": "?page=3", "prev": "?page=3"}),
        ("?per_page=45", {"first": "?per_page=45&page=1", "last": "?per_page=45&page=1"}),
        (
            "?colour=a%26b&page=1&colour=%C3%BC",
            {
                "first": "?colour=a%26b&colour=%C3%BC&page=1",
                "last": "?colour=a%26b&colour=%C3%BC&page=3",
                "next": "?colour=a%26b&colour=%C3%BC&page=2",
            },
        ),
    ],
)
async def test_links_of_page_mode_keep_the_rest_of_the_query(api, query, expected):
    answer = await api.get(NOTES + query)
    assert links(answer) == {relation: NOTES + target for relation, target in expected.items()}
    for target in links(answer).values():
        assert (await api.get(target)).status_code == 200


async def test_links_of_cursor_mode(api):
    answer = await api.get(f"{NOTES}?cursor=&per_page=5")
    assert links(answer) == {"next": f"{NOTES}?per_page=5&cursor=after%2B%2F%3D"}
    assert (await api.get(links(answer)["next"])).status_code == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("page=0", "TOO_SMALL"),
        ("page=-1", "TOO_SMALL"),
        ("page=x", "WRONG_TYPE"),
        ("page=1.5", "WRONG_TYPE"),
        ("page=99999999999999999999", "TOO_LARGE"),
        ("per_page=0", "TOO_SMALL"),
        ("per_page=101", "TOO_LARGE"),
        ("page=501&per_page=20", "PAGE_TOO_DEEP"),
        ("page=1&cursor=", "PAGE_AND_CURSOR"),
        ("cursor=" + "x" * 4097, "TOO_LONG"),
    ],
)
async def test_r31_pages_that_there_are_not(api, query, code):
    answer = await api.get(f"{NOTES}?{query}")
    assert (answer.status_code, code_of(answer)) == (422, code)


async def test_the_last_page_that_is_not_too_deep(api):
    assert (await api.get(f"{NOTES}?page=500&per_page=20")).status_code == 200
    assert (await api.get(f"{NOTES}?page=100&per_page=100")).status_code == 200


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (None, None),
        ("*", None),
        (" * ", None),
        ('"7"', 7),
        (' "7" ', 7),
        ('"0"', 0),
        ('"2147483647"', 2**31 - 1),
        ('"2147483648"', 2**31 - 1),
        ('"1000000000000000000"', 2**31 - 1),
        ('"' + "9" * 5000 + '"', 2**31 - 1),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_r33_the_version_in_if_match(header, version):
    assert await expected_version(header) == version


@pytest.mark.parametrize(
    "header", ["", "7", '"', '""', '"7', '7"', '"a"', '"-7"', '"07"', '"7.0"', 'W/"7"', '"6", "7"', '"٣"', '"7"x', "**"]
)
async def test_r33_400_an_if_match_that_is_none(api, header):
    answer = await api.delete(NOTE, headers={"if-match": header.encode()})
    assert (answer.status_code, code_of(answer)) == (400, "IF_MATCH_MALFORMED")
    assert answer.json()["errors"][0]["field"] == "If-Match"


@pytest.mark.parametrize(
    ("prefer", "minimal"),
    [
        ("return=minimal", True),
        ("Return = Minimal", True),
        ("respond-async, return=minimal", True),
        ("return=representation", False),
        ("return=minimalist", False),
    ],
)
async def test_prefer(api, prefer, minimal):
    answer = await api.delete(NOTE, headers={"prefer": prefer, "if-match": '"7"'})
    assert answer.json()["meta"]["minimal"] is minimal
    assert answer.json()["meta"]["version"] == 7


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ('"7"', 304),
        ('W/"7"', 304),
        ('"6", "7"', 304),
        ('"6",W/"7"', 304),
        ("*", 304),
        ('"8"', 200),
        ('"77"', 200),
        ("7", 200),
        ("", 200),
    ],
)
async def test_r33_if_none_match(api, header, status):
    location = (await api.post(NOTES, json={"title": "a"})).headers["location"]
    answer = await api.get(location, headers={"if-none-match": header})
    assert answer.status_code == status
    assert answer.headers["etag"] == '"7"'
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization"
    assert (answer.content == b"") is (status == 304)


async def test_what_gives_no_tag_of_its_own_gets_one_of_what_it_shows(api):
    first = await api.get(NOTES)
    again = await api.get(NOTES, headers={"if-none-match": first.headers["etag"], "x-request-id": "another"})
    kept = ("etag", "cache-control", "vary", "link")
    assert (again.status_code, again.content) == (304, b"")
    assert [again.headers[name] for name in kept] == [first.headers[name] for name in kept]
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Authorization"
    await api.post(NOTES, json={"title": "a"})
    after = await api.get(NOTES, headers={"if-none-match": first.headers["etag"]})
    assert (after.status_code, after.json()["meta"]["total"]) == (200, 1)
    assert after.headers["etag"] != first.headers["etag"]


async def test_a_change_gets_no_tag_of_what_it_shows(api):
    assert "etag" not in (await api.delete(NOTE)).headers
    assert (await api.post("/api/v1/all-notes", headers={"if-none-match": "*"})).status_code == 200


async def test_what_is_never_stored_has_no_tag(api):
    answer = await api.get("/api/v1/secret", headers={"if-none-match": "*"})
    assert (answer.status_code, "etag" in answer.headers) == (200, False)
    responses = (await api.get("/openapi.json")).json()["paths"]["/api/v1/secret"]["get"]["responses"]
    assert (list(responses["200"]["headers"]), "304" in responses) == (["Cache-Control"], False)


async def test_the_document_tells_of_tags_and_304_wherever_they_are(api):
    paths = (await api.get("/openapi.json")).json()["paths"]
    reading = paths["/api/v1/all-notes"]["get"]
    assert list(reading["responses"]["200"]["headers"]) == ["ETag"]
    assert "304" in reading["responses"]
    assert [one["name"] for one in reading["parameters"]] == ["If-None-Match"]
    assert "304" not in paths["/api/v1/all-notes"]["post"]["responses"]


async def test_r33_a_refusal_is_never_304(api):
    answer = await api.get(NOTE, headers={"if-none-match": "*"})
    assert answer.status_code == 404


def test_a_tag_of_content_is_weak_and_follows_it():
    assert content_etag(b"[1]").startswith('W/"')
    assert content_etag(b"[1]") == content_etag(b"[1]") != content_etag(b"[2]")
