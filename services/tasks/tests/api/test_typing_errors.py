"""What is typed with a slip finds what was meant (D5), after what fits, and nothing that is another word."""

from urllib.parse import quote

import pytest

TITLES = (
    "Buy milk",
    "Bread, (butter) and jam",
    "Renew the passport",
    "Quarterly invoice",
    "Call the plumber",
    "Order new chairs",
    "Zahnärztin anrufen",
    "Budget 2026",
    "User authentication",
    "Team lunch",
)
MEANT = {
    # Two letters that are swapped.
    "mlik": "Buy milk",
    "imlk": "Buy milk",
    "mikl": "Buy milk",
    "braed": "Bread, (butter) and jam",
    "buttre": "Bread, (butter) and jam",
    "chiars": "Order new chairs",
    "lucnh": "Team lunch",
    "jma": "Bread, (butter) and jam",
    "invocie": "Quarterly invoice",
    # One that is missing.
    "mlk": "Buy milk",
    "mik": "Buy milk",
    "bred": "Bread, (butter) and jam",
    "lnch": "Team lunch",
    "chars": "Order new chairs",
    "buget": "Budget 2026",
    "pasport": "Renew the passport",
    # One too many.
    "millk": "Buy milk",
    "miilk": "Buy milk",
    "breaad": "Bread, (butter) and jam",
    "lunchh": "Team lunch",
    "plumbber": "Call the plumber",
    # A wrong one.
    "mulk": "Buy milk",
    "milj": "Buy milk",
    "nilk": "Buy milk",
    "breaf": "Bread, (butter) and jam",
    "lunvh": "Team lunch",
    "chaors": "Order new chairs",
    "budgwt": "Budget 2026",
    "parsport": "Renew the passport",
    "authentikation": "User authentication",
    # In words with other letters, in several words, and in capitals.
    "zahnartzin": "Zahnärztin anrufen",
    "zanhärztin": "Zahnärztin anrufen",
    "buy mlik": "Buy milk",
    "byu mlik": "Buy milk",
    "taem lucnh": "Team lunch",
    "MLIK": "Buy milk",
    "qaurterly invocie": "Quarterly invoice",
}
OTHERS = (
    "mkli",
    "klim",
    "mask",
    "molt",
    "melt",
    "brad pitt",
    "crunch menu",
    "boat",
    "chess",
    "lamp",
    "2027",
    "eth",
    "spread",
    "pastries",
    "mlik brad",
    "table lunhc",
)


@pytest.fixture
async def titles(roster):
    """Returns the titles that are found, of those that there are."""
    for title in TITLES:
        await roster.task(title=title)

    async def run(q):
        found = await roster.ok("owner", "GET", f"/tasks?q={quote(q)}")
        assert all(0 < one["rank"] < 0.1 for one in found), found
        return [one["title"] for one in found]

    return run


async def test_d5_a_word_with_a_slip_finds_what_was_meant(titles):
    found = {q: (await titles(q))[:1] for q in MEANT}
    assert found == {q: [title] for q, title in MEANT.items()}


async def test_d5_what_is_another_word_finds_nothing(titles):
    assert {q: await titles(q) for q in OTHERS} == {q: [] for q in OTHERS}
