"""Finding anything (D5, D6, D12): what is written is found at once, by those who see it and by nobody else."""

import re
from urllib.parse import quote

import pytest
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from tasks_service.directory import repository as directory
from testkit.statements import statements_seen

NOTHING = {"tasks": [], "projects": [], "comments": [], "users": []}


@pytest.fixture
def search(roster):
    async def run(who, q, **parameters):
        named = "".join(f"&{name}={value}" for name, value in parameters.items())
        return await roster.ok(who, "GET", f"/search?q={quote(q)}{named}")

    return run


@pytest.fixture
def found(search):
    """Searches tasks, and returns their titles."""

    async def run(who, q, **parameters):
        return [one["title"] for one in (await search(who, q, types="task", **parameters))["tasks"]]

    return run


async def test_d6_what_was_written_is_found_by_the_next_request(roster, found):
    task = await roster.task(title="Zebra crossing", description="Paint the stripes")
    assert await found("owner", "zebra") == ["Zebra crossing"]
    assert await found("owner", "stripes") == ["Zebra crossing"]
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "Giraffe house", "description": None})
    assert await found("owner", "giraffe") == ["Giraffe house"]
    assert (await found("owner", "zebra"), await found("owner", "stripes")) == ([], [])
    comment = await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "Needs bamboo"})
    assert await found("owner", "bamboo") == ["Giraffe house"]
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}/comments/{comment['id']}", {"body": "Needs acacia"})
    assert (await found("owner", "bamboo"), await found("owner", "acacia")) == ([], ["Giraffe house"])
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}/comments/{comment['id']}")
    assert await found("owner", "acacia") == []


async def test_d6_a_new_prefix_and_a_former_key_find_the_task(roster, found):
    task = await roster.task(title="Okapi")
    assert await found("owner", task["key"].lower()) == ["Okapi"]
    await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"prefix": "OKA"})
    assert await found("owner", f"oka-{task['key'].rpartition('-')[2]}") == ["Okapi"]
    assert await found("owner", task["key"]) == ["Okapi"]


async def test_d5_words_phrases_alternatives_exclusions_beginnings_and_stems(roster, found):
    for title in ("Walrus swims north", "North of walrus bay", "Walruses sleeping"):
        await roster.task(title=title)
    *fitting, alike = await found("owner", "walrus north")
    assert (set(fitting), alike) == ({"Walrus swims north", "North of walrus bay"}, "Walruses sleeping")
    assert await found("owner", '"swims north"') == ["Walrus swims north"]
    assert await found("owner", "walrus north -bay") == ["Walrus swims north"]
    assert set(await found("owner", "swims or sleeping")) == {"Walrus swims north", "Walruses sleeping"}
    assert await found("owner", "slee") == ["Walruses sleeping"]
    assert await found("owner", "sleep") == ["Walruses sleeping"]
    assert len(await found("owner", "WALRUS")) == 3
    assert await found("owner", "walrus -swims -sleeping -bay") == []


async def test_d5_the_title_weighs_most_and_what_is_like_it_comes_last(roster, search):
    by_comment = await roster.task(title="One")
    await roster.ok("owner", "POST", f"/tasks/{by_comment['id']}/comments", {"body": "the quarterly invoice"})
    await roster.task(title="Two", description="about an invoice")
    await roster.task(title="Invoice run")
    await roster.task(title="Invoice")
    await roster.task(title="The involce of March")
    tasks = (await search("owner", "invoice", types="task"))["tasks"]
    assert [one["title"] for one in tasks] == ["Invoice", "Invoice run", "Two", "One", "The involce of March"]
    ranks = [one["rank"] for one in tasks]
    assert ranks == sorted(ranks, reverse=True)
    assert all(0 < one <= 1 for one in ranks)
    assert ranks[-1] < 0.1 < ranks[-2]
    assert [one["highlights"] for one in tasks[-1:]] == [[]]


async def test_d5_typing_errors_are_borne_where_little_fits(roster, found):
    await roster.task(title="Please receive the parcel")
    await roster.task(title="User authentication")
    assert await found("owner", "parzel") == ["Please receive the parcel"]
    assert await found("owner", "authentikation") == ["User authentication"]
    for number in range(5):
        await roster.task(title=f"authentikation {number}")
    assert len(await found("owner", "authentikation")) == 5


async def test_d5_highlights_are_html_that_holds_whatever_the_texts_have(roster, search):
    evil = "<mark>tapir</mark> & <b>tapir</b> \"q\" 'a' \ue000x\ue001 \ue002i\ue003"
    task = await roster.task(title=evil, description=f"{evil} <script>alert(1)</script> tapir")
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": evil})
    (shown,) = (await search("owner", "tapir", types="task"))["tasks"]
    fields = {one["field"]: one["text"] for one in shown["highlights"]}
    assert set(fields) == {"title", "description", "comment"}
    assert fields["title"] == (
        "&lt;mark&gt;<mark>tapir</mark>&lt;/mark&gt; &amp; &lt;b&gt;<mark>tapir</mark>&lt;/b&gt; &quot;q&quot; "
        "&#x27;a&#x27; x i"
    )
    for text in fields.values():
        assert re.sub(r"</?mark>", "", text).count("<") == 0
        assert text.count("<mark>") == text.count("</mark>") > 0


MARK = "<mark>caracal</mark>"
SHOWN = {
    "caracal": MARK,
    "Ask the caracal": f"Ask the {MARK}",
    "Yes, we should certainly ask the caracal.": f"Yes, we should certainly ask the {MARK}.",
    "(«caracal?!») -- in 2024": f"(«{MARK}?!») -- in 2024",
    "one\n\n  caracal\ttwo": f"one\n\n  {MARK}\ttwo",
    "<b>caracal</b> & 'co' > 1 &amp;": f"&lt;b&gt;{MARK}&lt;/b&gt; &amp; &#x27;co&#x27; &gt; 1 &amp;amp;",
    "🎉🎉 caracal 👩‍🚀!": f"🎉🎉 {MARK} 👩‍🚀!",
    "A caracal, caracals and a caracal-cat": f"A {MARK}, <mark>caracals</mark> and a {MARK}-cat",
    f"{'so ' * 64}caracal.": f"{'so ' * 64}{MARK}.",
    f"{'so ' * 64}caracal..": f"…{'so ' * 14}{MARK}..",
    f"{'🎉' * 192} caracal": f"{'🎉' * 192} {MARK}",
    f"{'🎉' * 192} caracal.": f"…{MARK}.",
    f"caracal{' so' * 99}.": f"{MARK}{' so' * 29}…",
    f"{'so ' * 99}caracal{' so' * 99}": f"…{'so ' * 14}{MARK}{' so' * 15}…",
    f"{'so ' * 99}caracal": f"…{'so ' * 14}{MARK}",
    f"(Yes, we caracal{' so' * 99}": f"(Yes, we {MARK}{' so' * 27}…",
    f"{'so ' * 99}caracal, or not?! 🎉": f"…{'so ' * 14}{MARK}, or not?! 🎉",
    f"{'so ' * 99}<i>caracal</i>": f"…{'so ' * 13}&lt;i&gt;{MARK}&lt;/i&gt;",
    f"caracal, so caracals{' so' * 99}": f"{MARK}, so <mark>caracals</mark>{' so' * 27}…",
}
"""What is shown of texts when caracals are searched for: those of more than 200 characters are cut."""


async def test_d5_short_texts_are_shown_whole_and_longer_ones_say_where_they_are_cut(roster, search):
    for text, shown in SHOWN.items():
        task = await roster.task(title="Cat", description=text)
        said = await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": text})
        found = await search("owner", "caracal")
        assert found["tasks"][0]["highlights"] == [
            {"field": "description", "id": task["id"], "text": shown},
            {"field": "comment", "id": said["id"], "text": shown},
        ]
        assert [one["highlights"][0]["text"] for one in found["comments"]] == [shown]
        await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")


async def test_d12_projects_people_and_comments_are_found_too(roster, search, database):
    project = await roster.ok(
        "owner", "POST", "/projects", {"name": "Pangolin care", "workspace_id": str(roster.workspace_id)}
    )
    await roster.ok("owner", "POST", f"/projects/{project['id']}/archive")
    task = await roster.task(title="Scales")
    said = await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "a <3 pangolin"})
    async with transaction(database) as session:
        await directory.put(session, person(roster.ids["member"], "Ann Pangolin"))
    everything = await search("owner", "pangolin")
    assert [one["title"] for one in everything["tasks"]] == ["Scales"]
    (shown,) = everything["projects"]
    assert (shown["id"], shown["archived_at"] is not None, shown["rank"]) == (project["id"], True, 0.9)
    assert shown["highlights"] == [{"field": "name", "text": "<mark>Pangolin</mark> care"}]
    (comment,) = everything["comments"]
    assert (comment["id"], comment["task_key"], comment["task_title"]) == (said["id"], task["key"], "Scales")
    assert comment["highlights"] == [
        {"field": "comment", "id": said["id"], "text": "a &lt;3 <mark>pangolin</mark>"},
    ]
    (somebody,) = everything["users"]
    assert (somebody["id"], somebody["name"], somebody["rank"]) == (roster.id("member"), "Ann Pangolin", 0.8)
    by_prefix = await search("owner", project["prefix"].lower(), types="project")
    assert [(one["id"], one["rank"]) for one in by_prefix["projects"]] == [(project["id"], 1.0)]
    assert await search("owner", "pangolin", workspace_id=uuid7()) == NOTHING
    assert (await search("owner", "pangolin", types="project,user"))["tasks"] == []


def person(user_id, name):
    return {
        "id": user_id,
        "display_name": name,
        "avatar_url": None,
        "email_canonical": f"{user_id}@example.com",
        "email_verified": True,
        "kind": "human",
        "status": "active",
        "timezone": None,
        "version": 1,
    }


async def test_d12_nobody_finds_what_they_do_not_see(roster, search, rows, database):
    private = await roster.ok(
        "owner",
        "POST",
        "/projects",
        {"name": "Quokka", "workspace_id": str(roster.workspace_id), "visibility": "private"},
    )
    hidden = await roster.task(title="Quokka one", project_id=private["id"])
    await roster.ok("owner", "POST", f"/tasks/{hidden['id']}/comments", {"body": "quokka two"})
    async with transaction(database) as session:
        await directory.put(session, person(roster.ids["colleague"], "Quokka Smith"))
    everything = await search("owner", "quokka")
    assert [len(everything[name]) for name in ("tasks", "projects", "comments", "users")] == [1, 1, 1, 1]
    for who in ("member", "editor", "guest", "stranger"):
        seen = await search(who, "quokka")
        # An editor shares the open project with the one who is called so.
        users = 1 if who in {"member", "editor"} else 0
        counts = [len(seen[name]) for name in ("tasks", "projects", "comments", "users")]
        assert counts == [0, 0, 0, users], who
        assert (await search(who, hidden["key"], types="task"))["tasks"] == []
    await roster.ok("owner", "PUT", f"/tasks/{hidden['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    shared = await search("guest", "quokka")
    assert ([len(shared[name]) for name in ("tasks", "projects", "comments")]) == [1, 0, 1]
    assert (await search("guest", "quokka", types="task"))["tasks"][0]["key"] == hidden["key"]
    await rows("DELETE FROM tasks.member WHERE user_id = :id", id=roster.ids["owner"])
    assert await search("owner", "quokka") == NOTHING


async def test_d12_a_token_finds_what_it_is_restricted_to(roster, test_gateway):
    other = await roster.ok("owner", "POST", "/projects", {"name": "Numbat", "workspace_id": str(roster.workspace_id)})
    await roster.task(title="numbat outside")
    await roster.task(title="numbat inside", project_id=other["id"])

    async def titles(**restricted):
        headers = test_gateway.token_headers(roster.ids["owner"], "tasks:read", **restricted)
        answer = await roster.api.get("/api/v1/search?q=numbat", headers=headers)
        data = answer.json()["data"]
        return {one["title"] for one in data["tasks"]}, [one["name"] for one in data["projects"]]

    assert await titles(project_ids=[other["id"]]) == ({"numbat inside"}, ["Numbat"])
    assert await titles(workspace_id=roster.workspace_id) == ({"numbat inside", "numbat outside"}, ["Numbat"])
    assert await titles(workspace_id=uuid7()) == (set(), [])


async def test_d5_what_is_in_the_trash_purged_or_moved(roster, found, rows):
    task = await roster.task(title="Dugong")
    said = await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "dugong again"})
    place = await roster.ok("owner", "POST", "/projects", {"name": "Sea", "workspace_id": str(roster.workspace_id)})
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/move", {"project_id": place["id"]})
    documents = "SELECT id::text, project_id::text FROM tasks.search_document WHERE task_id = :id"
    assert set(await rows(documents, id=task["id"])) == {(task["id"], place["id"]), (said["id"], place["id"])}
    assert await found("owner", "dugong") == ["Dugong"]
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")
    assert await found("owner", "dugong") == []
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/restore")
    assert await found("owner", "dugong") == ["Dugong"]
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}?permanent=true")
    assert await rows(documents, id=task["id"]) == []


HOSTILE = (
    "'",
    '"',
    '""',
    "a:*",
    "x <-> y",
    "!!",
    "& | !",
    "(((",
    "\\",
    "a\\'b",
    "';--",
    "$1",
    "%s %(q)s {0}",
    ":name ::tsquery",
    "😀",
    "a" * 200,
    "日本語" * 60,
    "-",
    "-a",
    "or",
    "<mark>",
    "the",
    "\ue000",
    "a-1",
    "A" * 10 + "-999999999",
    "\t",
)


@pytest.mark.parametrize("q", HOSTILE)
async def test_r31_whatever_is_searched_for_is_never_an_error_of_ours(roster, q):
    await roster.task(title="a'b \\ 😀 the")
    answer = await roster.ask("owner", "GET", f"/search?q={quote(q)}")
    assert answer.status_code == (422 if not q.strip() else 200), answer.text


@pytest.mark.parametrize("q", ["", " ", "a" * 201, "a%00b"])
async def test_r31_what_can_not_be_searched_for_is_refused(roster, q):
    assert (await roster.ask("owner", "GET", f"/search?q={q}")).status_code in {400, 422}


async def test_d5_stop_words_are_words(roster, found):
    await roster.task(title="The Who")
    assert await found("owner", "the who") == ["The Who"]


async def test_b13_long_texts_in_wide_scripts_are_kept_and_found(roster, found):
    wide = "".join(f"語{number}言 " for number in range(1_600))[:9_990]
    task = await roster.task(title="Wide", description=f"{wide} aardvark")
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "😀" * 9_000 + " wombat"})
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "漢" * 10_000})
    assert (await found("owner", "wombat"), await found("owner", "語7言")) == (["Wide"], ["Wide"])


async def test_r36_no_statement_reads_documents_without_the_tasks_that_they_are_of(roster, database, search):
    task = await roster.task(title="Ibex")
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "ibex"})
    with statements_seen(database.reader) as seen:
        await search("owner", "ibex")
    reading = [one for one in seen if "search_document" in one and "pg_class" not in one]
    assert len(reading) >= 4
    for statement in reading:
        assert "JOIN tasks.project" in statement, statement
        assert "tasks.member.user_id" in statement, statement


async def test_n5_as_many_statements_whatever_is_found(roster, database, search):
    async def asked():
        with statements_seen(database.reader) as seen:
            await search("owner", "kakapo")
        return len(seen)

    for number in range(6):
        task = await roster.task(title=f"Kakapo {number}")
    one = await asked()
    for number in range(10):
        await roster.task(title=f"Kakapo {number}")
        await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": f"kakapo {number}"})
    assert await asked() == one
