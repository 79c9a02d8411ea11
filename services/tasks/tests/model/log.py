"""What the change log of a run of the tests has to be: types of the registry, with resources of their schemas."""

import asyncio
import json

import asyncpg
from jsonschema import Draft202012Validator
from tasks_service.invitations.events import INVITATION_MAIL_REQUESTED
from tasks_service.registry import EVENTS

# One row of each shape: which fields there are, and of what kind their values are. What tests write by hand to look at
# the reading of the log has a request of its own name.
SHAPES = """
    SELECT DISTINCT ON (type, entity_type, shape) type, entity_type, resource
    FROM (
        SELECT type, entity_type, resource, (
            SELECT string_agg(key || ' ' || jsonb_typeof(value), ',' ORDER BY key) FROM jsonb_each(resource)
        ) AS shape
        FROM tasks.change WHERE request_id <> 'r'
    ) AS told
"""
# The mail of an invitation is told over an outbox of its own, and what is reserved is not told yet.
RECORDED = frozenset(event.type for event in EVENTS if not event.reserved) - {INVITATION_MAIL_REQUESTED}
CONTRACTS = {event.type: event for event in EVENTS}


def hold_against_registry(settings, contract):
    """Raise AssertionError for a row that the registry does not allow, and count the types that are there."""
    rows = asyncio.run(shapes(settings.url.get_secret_value()))
    problems = sorted({problem for row in rows for problem in problems_of(*row)})
    assert not problems, "\n".join(problems)
    contract.exercised.update({kind for kind, _, _ in rows})


async def shapes(url):
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(SHAPES)
    finally:
        await connection.close()
    return [(row["type"], row["entity_type"], json.loads(row["resource"])) for row in rows]


def problems_of(kind, entity_type, resource):
    """Return what is wrong with an entry of the log."""
    if kind not in RECORDED:
        return [f"{kind} is not in the registry"]
    event = CONTRACTS[kind]
    wrong = [] if event.entity_type == entity_type else [f"{kind} is about a {event.entity_type}, not {entity_type}"]
    schema = event.resource.model_json_schema(mode="serialization")
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [*wrong, *(f"{kind}: {one.json_path}: {one.message[:200]}" for one in validator.iter_errors(resource))]
