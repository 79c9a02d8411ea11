"""A transaction that lost against another is begun anew, with its whole request (R37)."""

import asyncio

import pytest

NOTES = "/api/v1/notes"
SIZES = "SELECT title, size FROM notes.note ORDER BY title"


@pytest.fixture
def meeting(app):
    return app.state.meeting


async def test_r37_the_victim_of_a_deadlock_is_handled_again(api, rows, meeting):
    for title in ("a", "b"):
        await api.post(NOTES, json={"title": title})
    meeting.expected = 2
    answers = await asyncio.gather(
        api.post("/api/v1/renamed-notes", json={"titles": ["a", "b"]}, headers={"idempotency-key": "key-1"}),
        api.post("/api/v1/renamed-notes", json={"titles": ["b", "a"]}, headers={"idempotency-key": "key-2"}),
    )
    assert [answer.status_code for answer in answers] == [200, 200]
    assert meeting.visits == 3
    assert await rows(SIZES) == [("a", 2), ("b", 2)]
    assert await rows("SELECT count(*) FROM notes.idempotency_key") == [(2,)]


async def test_r37_without_the_service_saying_so_it_is_not(app, api, rows, meeting):
    app.state.answers_by = None
    for title in ("a", "b"):
        await api.post(NOTES, json={"title": title})
    meeting.expected = 2
    answers = await asyncio.gather(
        api.post("/api/v1/renamed-notes", json={"titles": ["a", "b"]}),
        api.post("/api/v1/renamed-notes", json={"titles": ["b", "a"]}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 503]
    lost = next(answer for answer in answers if answer.status_code == 503)
    assert (lost.json()["errors"][0]["code"], lost.headers["retry-after"]) == ("SERVICE_UNAVAILABLE", "1")
    assert await rows(SIZES) == [("a", 1), ("b", 1)]


async def test_r37_who_meets_what_another_has_made_gets_the_refusal_of_that(api, rows, meeting):
    meeting.expected = 2
    answers = await asyncio.gather(*(api.post("/api/v1/unwritten-notes", json={"title": "a"}) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    lost = next(answer for answer in answers if answer.status_code == 409)
    assert lost.json()["errors"][0]["code"] == "NOTE_EXISTS"
    assert await rows("SELECT count(*) FROM notes.note") == [(1,)]


async def test_r37_who_is_overtaken_again_and_again_is_refused_at_last(api, rows):
    answer = await api.post("/api/v1/overtaken-notes", json={"title": "a"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert await rows("SELECT count(*) FROM notes.note") == [(0,)]
