"""The command that takes words by the stems of another language (D5)."""

import json
import math
from functools import partial
from urllib.parse import quote
from uuid import UUID

import pytest
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from tasks_service.search import service
from tasks_service.settings import Settings
from testkit.commands import commands_of

ENGLISH, GERMAN = ("sleeps", "Sleeping late"), ("Haus", "Alte Häuser")
"""What only its own language finds: a word, and a title in which it has another ending."""
VECTORS = "SELECT id::text, kind, vector::text FROM tasks.search_document WHERE task_id = ANY(:ids)"


@pytest.fixture
async def command(settings, database):
    """Runs the command as an operator does; returns its exit code, what it said and what it complained of."""
    run = commands_of(
        "tasks_service",
        Settings,
        DATABASE_URL=settings.database.url.get_secret_value(),
        IDENTITY_VERIFY_KEY=settings.identity.verify_key.get_secret_value(),
        MAIL_SEALING_KEYS=settings.mail_sealing.keys.get_secret_value(),
        CURSOR_SECRET=settings.cursors.secret.get_secret_value(),
        ENVIRONMENT="test",
    )
    yield partial(run, "search-language")
    await service.change_language(database, name="english")


@pytest.fixture
def found(roster):
    """Returns the titles of the tasks that fit some words by more than being like them."""

    async def run(q):
        answer = await roster.ok("owner", "GET", f"/tasks?q={quote(q)}")
        return {one["title"] for one in answer if one["rank"] >= 0.1}

    return run


async def test_d5_words_are_taken_by_the_stems_of_another_language_in_all_that_is_there(
    roster, command, found, database, rows
):
    for _, title in (ENGLISH, GERMAN):
        await roster.task(title=title)
    commented, named = await roster.task(title="Commented"), await roster.task(title="Named")
    comment = await roster.ok("owner", "POST", f"/tasks/{commented['id']}/comments", {"body": "zwei Häuser"})
    async with transaction(database) as session:
        file = {"attachment_id": uuid7(), "task_id": UUID(named["id"]), "name": "die_Häuser.pdf"}
        await service.keep_name(session, version=1, **file)
    assert await found(ENGLISH[0]) == {ENGLISH[1]}
    assert await found(GERMAN[0]) == set()
    before = await rows(VECTORS, ids=[commented["id"], named["id"]])

    code, said, complaints = await command("german")
    assert (code, complaints) == (0, "")
    ((documents,),) = await rows("SELECT count(*) FROM tasks.search_document")
    assert json.loads(said) == {"language": "german", "batches": math.ceil(documents / service.BATCH)}
    assert await found(ENGLISH[0]) == set()
    assert await found(GERMAN[0]) == {GERMAN[1], "Commented", "Named"}
    after = await rows(VECTORS, ids=[commented["id"], named["id"]])
    changed = {kind for _, kind, _ in set(after) - set(before)}
    assert (len(after), changed >= {"comment", "attachment"}) == (4, True)

    new = await roster.task(title="Neue Häuser")
    await roster.ok("owner", "PATCH", f"/tasks/{commented['id']}/comments/{comment['id']}", {"body": "nichts mehr"})
    assert await found(GERMAN[0]) == {GERMAN[1], "Named", new["title"]}

    assert (await command("english"))[0] == 0
    assert await found(ENGLISH[0]) == {ENGLISH[1]}
    assert await found(GERMAN[0]) == set()


async def test_d5_all_documents_are_made_again_a_batch_at_a_time(roster, database, rows):
    for number in range(5):
        await roster.task(title=str(number))
    ((documents,),) = await rows("SELECT count(*) FROM tasks.search_document")
    assert await service.change_language(database, name="english", at_once=4) == math.ceil(documents / 4)


@pytest.mark.parametrize("name", ["klingon", "english'; DROP TABLE tasks.task; --", ""])
async def test_d5_a_language_that_the_database_does_not_know_changes_nothing(command, rows, name):
    language = "SELECT tasks.search_language()::text"
    before = await rows(language)
    code, said, complaints = await command(name)
    assert (code, said) == (2, "")
    assert "the database has no text search configuration of this name" in complaints
    assert await rows(language) == before
