"""What is rare is read from the index of words, as the role that the API runs as; see test_plans.py."""

import runpy
from pathlib import Path

PLANS = runpy.run_path(str(Path(__file__).with_name("test_plans.py")))
TASKS = 3000
DOCUMENTS = """
    INSERT INTO tasks.task SELECT made.*
    FROM tasks.task AS one, generate_series(1, :n) AS n, jsonb_populate_record(one, jsonb_build_object(
        'id', uuidv7(), 'number', NULL, 'position', NULL,
        'title', 'Plumage ' || (SELECT string_agg(md5((n * 31 + part)::text), ' ') FROM generate_series(1, 8) AS part)
    )) AS made
    WHERE one.id = :t
"""


def nodes_on_documents(plan):
    return [
        (one["Node Type"], one.get("Index Name"))
        for one in PLANS["nodes"](plan)
        if one.get("Relation Name") == "search_document" or "search_document" in one.get("Index Name", "")
    ]


async def test_n5_a_rare_word_reaches_its_tasks_by_the_index_of_words(roster, database):
    task = await roster.task(title="Capercaillie")
    await roster.rows(DOCUMENTS, n=TASKS, t=task["id"])
    await roster.task(title="Another capercaillie")
    for table in ("project", "member", "task", "search_document"):
        await roster.rows(f"ANALYZE tasks.{table}")
    for path in ("/tasks?q=capercaillie", "/tasks?q=capercaillie&sort=title", "/search?q=capercaillie"):
        with PLANS["sent"](database) as statements:
            answer = await roster.ok("owner", "GET", path)
        found = answer if isinstance(answer, list) else answer["tasks"]
        assert len(found) == 2, path
        reading = [one for one in statements if "search_document" in one[0] and "EXPLAIN" not in one[0]]
        plans = await PLANS["plans_of"](database, roster.ids["owner"], reading)
        read = [one for plan in plans for one in nodes_on_documents(plan)]
        assert ("Bitmap Index Scan", "ix_search_document_vector") in read, (path, read)
        assert "Seq Scan" not in {kind for kind, _ in read}, (path, read)


async def test_n5_the_beginning_of_a_common_word_is_known_to_be_common(roster, rows):
    """What is typed first is looked for in the newest tasks alone, and not in all that begins so."""
    task = await roster.task(title="Auk")
    await roster.rows(DOCUMENTS, n=TASKS, t=task["id"])
    await rows("ANALYZE tasks.search_document")
    ((beginning, word, rare),) = await rows(
        "SELECT tasks.search_estimate('plum'), tasks.search_estimate('plumage'), tasks.search_estimate('auk')"
    )
    assert min(beginning, word) >= TASKS > 10 * rare
