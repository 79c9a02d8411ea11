"""R27 to R33, R39: whatever is wrong with a request of any operation is refused in the envelope, and changes nothing.

What is sent is made of the OpenAPI document (testkit.hostile.documents), from the request that the matrix has for an
operation (matrix/*.py), by the owner of a place of its own.
"""

import runpy
from pathlib import Path

import pytest
from tasks_service.main import openapi_document
from testkit.hostile.answers import attacked
from testkit.hostile.documents import Asked, Attacks, moved

MATRIX = runpy.run_path(str(Path(__file__).with_name("test_matrix.py")))
ALONE = {entry.__name__: entry for found in MATRIX["FOUND"] for entry in found.get("ALONE", ())}
LISTS = {name: entry for name, (entry, _) in MATRIX["LISTS"].items()}
ENTRIES = {**MATRIX["ENTRIES"], **LISTS, **ALONE}
ATTACKS = Attacks(openapi_document())
TABLES = """
    SELECT table_name, array_agg(column_name::text) FROM information_schema.columns
    WHERE table_schema = 'tasks' AND column_name IN ('workspace_id', 'user_id', 'created_by') GROUP BY table_name
"""
DIGEST = "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM tasks.{} t WHERE {}"
SUCCESS = range(200, 300)

place_of = MATRIX["place_of"]


def test_every_operation_of_the_document_is_attacked():
    assert set(ENTRIES) == set(ATTACKS.operations)
    assert set(ALONE) == set(MATRIX["UNDECIDED"])


@pytest.fixture
def all_there_is(rows):
    """Returns a digest of all rows that are of a place, or of the one who asks."""
    ids = {"workspace_id": "workspace_id", "user_id": "caller_id", "created_by": "caller_id"}

    async def digest(place):
        found = await rows(TABLES)
        filters = {table: " OR ".join(f"{one} = :{one}" for one in columns) for table, columns in found}
        statement = " UNION ALL ".join(DIGEST.format(*one) for one in filters.items())
        return await rows(statement, **{name: getattr(place, attribute) for name, attribute in ids.items()})

    return digest


@pytest.fixture
def asking(place_of):
    """Makes a place, and what is asked for rightly there, with the headers of who asks."""

    async def ask(operation):
        place, headers = await place_of("owner", "open")
        method, path, body, *more = await ENTRIES[operation](place)
        own = more[0] if more and isinstance(more[0], dict) else {}
        return place, Asked(method, path, body, own), headers

    return ask


@pytest.mark.parametrize("operation", sorted(ATTACKS.operations))
async def test_r28_bad_input_is_refused_in_the_envelope_and_loses_nothing(asking, all_there_is, api, operation):
    place, asked, headers = await asking(operation)
    before = await all_there_is(place)
    complaints = []
    for attack in ATTACKS.on(operation, asked):
        if attack.refused:
            complaints += (await attacked(api, asked, attack, headers))[1]
    assert complaints == []
    assert await all_there_is(place) == before


@pytest.mark.parametrize("operation", sorted(ATTACKS.operations))
async def test_r39_strange_input_is_taken_or_refused_and_no_crash(asking, api, operation):
    """What the document allows, or leaves open; of what makes or takes away something, each time on a new place."""
    _, asked, headers = await asking(operation)
    first, complaints = asked, []
    for attack in ATTACKS.on(operation, asked):
        if not attack.refused:
            status, found = await attacked(api, asked, moved(attack, first, asked), headers)
            complaints += found
            if status in SUCCESS and asked.method in {"POST", "DELETE"}:
                _, asked, headers = await asking(operation)
    assert complaints == []
