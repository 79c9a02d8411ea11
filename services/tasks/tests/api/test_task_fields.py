"""D4: what tasks can be filtered and sorted by is told as it is decided, and where a caller is (D3)."""

from zoneinfo import ZoneInfo

import pytest
from chassis.clock import utcnow
from chassis.db.row_security import reading
from chassis.db.transactions import transaction
from chassis.filtering.binding import bind
from chassis.filtering.documents import parse_document
from chassis.filtering.parameters import flat_parameters, parse_parameters
from chassis.filtering.text import parse_text
from chassis.filtering.values import Context
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.text import closest
from chassis.timezones import UnknownTimezone
from tasks_service.db import ROW_SECURITY
from tasks_service.directory import repository
from tasks_service.fields.rules import FIELDS
from tasks_service.timezones.access import asked_zone
from tasks_service.timezones.service import zone_of
from testkit.statements import statements_seen

PATH = "/api/v1/meta/tasks/fields"
CONTEXT = Context(uuid7(), ZoneInfo("UTC"), utcnow())


@pytest.fixture
async def told(api, test_gateway):
    answer = await api.get(PATH, headers=test_gateway.headers(uuid7()))
    assert answer.status_code == 200
    return answer.json()["data"]


async def test_d4_every_field_is_told_with_what_it_takes(told):
    fields = {one["name"]: one for one in told["fields"]}
    assert fields.keys() == {*FIELDS.names, "meta.<namespace>.<path>"}
    assert fields["priority"] == {
        "name": "priority",
        "aliases": [],
        "type": "keyword",
        "description": "Its priority.",
        "operators": ["=", "!=", "in", "not_in", "<", "<=", ">", ">="],
        "nullable": False,
        "several": False,
        "allowed": ["none", "low", "medium", "high", "urgent"],
        "sortable": True,
        "parameters": ["priority"],
        "example_text": "priority >= high",
        "example_json": {"field": "priority", "op": ">=", "value": "high"},
    }
    assert fields["due"]["parameters"][:3] == ["due", "due_before", "due_after"]
    assert [one["name"] for one in told["functions"]][:2] == ["now()", "today()"]
    assert told["limits"] == {
        "bytes": 4096,
        "predicates": 50,
        "depth": 6,
        "values": 100,
        "text_characters": 500,
        "sort_keys": 4,
    }


async def test_d4_what_is_sortable_is_a_key_of_sort(told):
    keys = {one["name"] for one in told["sort_keys"]}
    assert {one["name"] for one in told["fields"] if one["sortable"]} == keys - {"position", "rank"}
    assert [one["name"] for one in told["sort_keys"] if one["only_with_q"]] == ["rank"]


async def test_d1_each_example_means_the_same_as_text_and_as_json(told):
    for field in told["fields"]:
        text, document = field["example_text"], field["example_json"]
        assert bind(parse_text(text), FIELDS, CONTEXT) == bind(parse_document(document), FIELDS, CONTEXT)


async def test_d1_each_parameter_filters_by_its_field(told):
    examples = {one["name"]: one["example_json"]["value"] for one in told["fields"]}
    assert [one["name"] for one in told["parameters"]] == list(flat_parameters(FIELDS))
    for one in told["parameters"]:
        value = examples[one["field"]]
        value = value[0] if isinstance(value, list) else str(value)
        found = bind(parse_parameters({one["name"]: [value]}, FIELDS), FIELDS, CONTEXT)
        assert (found.field, found.operator) == (one["field"], one["operator"])
        if one["none"]:
            found = bind(parse_parameters({one["name"]: ["none"]}, FIELDS), FIELDS, CONTEXT)
            assert (found.field, found.operator) == (one["field"], "is_null")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("due_befor", "due_before"),
        ("duebefore", "due_before"),
        ("crated_at_after", "created_at_after"),
        ("asignees_", "assignees"),
        ("prioritys", "priority"),
        ("xyz", None),
    ],
)
def test_d4_a_parameter_that_is_misspelt_is_near_the_one_that_was_meant(given, meant):
    assert closest(given, flat_parameters(FIELDS)) == meant


async def test_o5_who_has_the_table_is_not_sent_it_again(api, test_gateway, database):
    headers = test_gateway.headers(uuid7())
    first = await api.get(PATH, headers=headers)
    with statements_seen(database.reader) as seen:
        again = await api.get(PATH, headers={**headers, "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, len(seen)) == (304, b"", 0)


async def test_d4_the_table_is_for_those_who_are_known(api):
    assert (await api.get(PATH)).status_code == 401


@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("meta.app.path", True),
        ("meta.com.example.app.a.b", True),
        ("meta.app.größe x", True),
        ("meta.app", False),
        ("meta.", False),
        ("meta.app.", False),
        ("meta..path", False),
        ("meta.App.path", False),
        ("meta.app.a\0", False),
        ("meta.app." + "a" * 300, False),
        ("meta.app" + ".a" * 30, False),
        ("meta.<namespace>.<path>", False),
    ],
)
def test_b11_values_of_apps_are_fields_by_their_path(name, is_there):
    assert (FIELDS.find(name) is not None) is is_there


@pytest.fixture
async def somebody(database):
    async def make(timezone):
        user = uuid7()
        about = {
            "id": user,
            "display_name": "Ada",
            "avatar_url": None,
            "email_canonical": f"{user}@example.com",
            "email_verified": True,
            "kind": "human",
            "status": "active",
            "timezone": timezone,
            "version": 1,
        }
        async with transaction(database) as session:
            await repository.put(session, about)
        return Principal(user, uuid7())

    return make


@pytest.mark.parametrize(
    ("timezone", "expected"),
    [("Asia/Tokyo", "Asia/Tokyo"), ("US/Eastern", "America/New_York"), (None, "UTC"), ("Mars/Base", "UTC")],
)
async def test_d3_a_caller_is_where_the_profile_says(database, somebody, timezone, expected):
    caller = await somebody(timezone)
    async with reading(database, ROW_SECURITY.of(caller.user_id)) as connection:
        assert (await zone_of(connection, caller=caller, asked_for=None)).key == expected


async def test_d3_nobody_known_is_in_utc(database):
    caller = Principal(uuid7(), uuid7())
    async with reading(database, ROW_SECURITY.of(caller.user_id)) as connection:
        assert (await zone_of(connection, caller=caller, asked_for=None)).key == "UTC"


async def test_d3_the_profile_is_asked_where_a_request_names_no_zone(database, somebody):
    caller = await somebody("Asia/Tokyo")
    async with reading(database, ROW_SECURITY.of(caller.user_id)) as connection:
        with statements_seen(database.reader) as seen:
            found = await zone_of(connection, caller=caller, asked_for=ZoneInfo("Europe/Berlin"))
        assert (found.key, len(seen)) == ("Europe/Berlin", 0)


async def test_d3_whatever_is_filtered_tells_where_days_begin(api, somebody, test_gateway):
    headers = test_gateway.headers((await somebody("Asia/Tokyo")).user_id)
    for query, zone in (
        ("status=todo", "Asia/Tokyo"),
        ("assignee=me", "Asia/Tokyo"),
        (f"label={uuid7()}", "Asia/Tokyo"),
        ("filter=due < today()", "Asia/Tokyo"),
        ("filter=status = todo&cursor=", "Asia/Tokyo"),
        ("filter=status = todo&tz=Europe/Berlin", "Europe/Berlin"),
        ("sort=due", None),
    ):
        meta = (await api.get(f"/api/v1/tasks?{query}", headers=headers)).json()["meta"]
        assert (meta.get("timezone"), "resolved_filter" in meta) == (zone, zone is not None), query
    wanted = {"filter": "status = todo", "patch": {"title": "a"}, "expected_count": 0}
    answer = await api.post("/api/v1/tasks/bulk/by-filter", json=wanted, headers=headers)
    assert answer.json()["meta"]["timezone"] == "Asia/Tokyo"


async def test_d3_days_begin_where_the_caller_is_also_for_plain_parameters(api, somebody, test_gateway):
    headers = test_gateway.headers((await somebody("Asia/Tokyo")).user_id)
    # Half past one of the second in Tokyo, and half past four in the afternoon of the first in UTC.
    due = {"at": "2026-12-01T16:30:00Z", "timezone": "UTC"}
    made = await api.post("/api/v1/tasks", json={"title": "a", "due": due}, headers=headers)
    assert made.status_code == 201, made.text
    for query, number in (("due=2026-12-02", 1), ("due=2026-12-01", 0), ("due=2026-12-01&tz=UTC", 1)):
        answer = (await api.get(f"/api/v1/tasks?{query}", headers=headers)).json()
        assert (len(answer["data"]), answer["meta"]["total"]) == (number, number), query


@pytest.mark.parametrize(
    ("tz", "header", "expected"),
    [
        (None, None, None),
        ("Europe/Berlin", None, "Europe/Berlin"),
        (None, "Asia/Calcutta", "Asia/Kolkata"),
        ("UTC", "Europe/Berlin", "UTC"),
        ("UTC", "nowhere", "UTC"),
    ],
)
async def test_d3_a_request_says_where_it_is(tz, header, expected):
    found = await asked_zone(tz, header)
    assert (None if found is None else found.key) == expected


@pytest.mark.parametrize(
    ("tz", "header", "field", "hint"),
    [
        ("europe/berlin", None, "tz", "did you mean Europe/Berlin?"),
        ("", "UTC", "tz", None),
        ("../../etc/passwd", None, "tz", None),
        (None, "localtime", "X-Timezone", None),
        (None, "Europe/Berlinn", "X-Timezone", "did you mean Europe/Berlin?"),
    ],
)
async def test_d3_a_zone_that_nobody_knows_is_refused(tz, header, field, hint):
    with pytest.raises(UnknownTimezone) as caught:
        await asked_zone(tz, header)
    (detail,) = caught.value.details
    assert (detail.code, detail.field, detail.hint) == ("UNKNOWN_TIMEZONE", field, hint)
