"""What of a request's head is believed and what goes on (R18-R20, R22, R34)."""

import itertools
import random

import httpx2
import pytest
from gateway.edge import COMMON, HEADER_NAME, PLAIN_PATH, check_path

PATH = "/api/v1/tasks"

PASSED = {
    "accept": "application/json",
    "accept-language": "de",
    "content-type": "application/json",
    "content-encoding": "identity",
    "if-match": '"7"',
    "if-none-match": '"8"',
    "range": "bytes=0-1",
    "if-range": '"9"',
    "idempotency-key": "key-1",
    "prefer": "return=minimal",
    "user-agent": "tests/1",
    "x-min-cursor": "cursor",
    "x-timezone": "Europe/Berlin",
    "upload-offset": "0",
    "upload-length": "2",
    "upload-complete": "?1",
    "upload-checksum": "sha-256=:AAAA:",
}
DROPPED = {
    "authorization": None,
    "cookie": "a=b",
    "forwarded": "for=192.0.2.1",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "https",
    "x-real-ip": "192.0.2.1",
    "x-client-address": "192.0.2.1",
    "x-taskloom-identity": "forged",
    "x-user-id": "1",
    "x-original-url": "/internal/tasks",
    "x-rewrite-url": "/internal/tasks",
    "x-http-method-override": "DELETE",
    "te": "trailers",
    "proxy-authorization": "Basic YTpi",
    "proxy-connection": "keep-alive",
    "accept-encoding": "gzip",
    "origin": "https://app.example",
    "referer": "https://evil.example",
    "sec-fetch-site": "cross-site",
    "tracestate": "a=b",
    "baggage": "a=b",
    "x-anything": "else",
}
ADDED = {"host", "content-length", "x-request-id", "traceparent", "x-client-address", "x-taskloom-identity"}


async def test_r20_exactly_the_listed_fields_reach_the_service(gateway, user, tasks):
    given = {**PASSED, **{name: value for name, value in DROPPED.items() if value}, **user.headers}
    async with gateway.client() as api:
        assert (await api.post(PATH, content=b"{}", headers=given)).status_code == 200
    names = [name for name, _ in tasks.last.headers]
    assert set(names) == PASSED.keys() | ADDED
    assert len(names) == len(set(names))
    assert {name: value for name, value in tasks.last.headers if name in PASSED} == PASSED
    assert tasks.last.all("x-client-address") == ["127.0.0.1"]
    assert tasks.last.all("x-taskloom-identity")[0].count(".") == 2
    assert tasks.last.all("host") != [f"127.0.0.1:{gateway.port}"]
    assert tasks.last.body == b"{}"


async def test_r20_fields_that_connection_names_end_here(api, user, tasks):
    named = "close, Prefer,x-timezone , X-Taskloom-Identity, Authorization"
    headers = {**PASSED, **user.headers, "connection": named}
    assert (await api.post(PATH, content=b"{}", headers=headers)).status_code == 200
    names = {name for name, _ in tasks.last.headers}
    assert PASSED.keys() - names == {"prefer", "x-timezone"}
    assert "x-taskloom-identity" in names


async def test_r20_user_agent_is_cut_to_256(api, user, tasks):
    await api.get(PATH, headers={**user.headers, "user-agent": "u" * 300})
    assert tasks.last.all("user-agent") == ["u" * 256]


async def test_r20_a_public_route_carries_no_identity(api, services):
    forged = {"x-taskloom-identity": "forged", "authorization": "Bearer x"}
    assert (await api.post("/api/v1/auth/login", json={}, headers=forged)).status_code == 200
    assert services.auth.last.all("x-taskloom-identity") == []
    assert services.auth.last.all("authorization") == []


@pytest.mark.parametrize("name", ["content-type", "idempotency-key", "range", "origin", "if-range"])
async def test_r20_single_field_given_twice_400(api, user, tasks, is_refused, name):
    headers = [*user.headers.items(), (name, "a"), (name, "b")]
    is_refused(await api.get(PATH, headers=headers), 400, "MALFORMED_REQUEST")
    assert tasks.requests == []


async def test_ids_of_the_client_are_taken_over_when_they_are_valid(api, user, tasks):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await api.get(PATH, headers={**user.headers, "x-request-id": "my-request-1", "traceparent": trace})
    assert answer.headers["x-request-id"] == "my-request-1"
    assert tasks.last.all("x-request-id") == ["my-request-1"]
    assert tasks.last.all("traceparent")[0].split("-")[1] == trace.split("-")[1]
    for bad in ("short", "a" * 65, "with space", "semi;colon"):
        answer = await api.get(PATH, headers={**user.headers, "x-request-id": bad, "traceparent": "nonsense"})
        assert answer.headers["x-request-id"] not in (bad, "")
        assert tasks.last.all("x-request-id") == [answer.headers["x-request-id"]]
        assert tasks.last.all("traceparent")[0].startswith("00-")


REFUSED_PATHS = [
    "/api/v1/tasks/a%2fb",
    "/api/v1/tasks/a%2Fb",
    "/api/v1/tasks/a%5cb",
    "/api/v1/tasks/%00",
    "/api/v1/tasks/%0a",
    "/api/v1/tasks/%1F",
    "/api/v1/tasks/%7f",
    "/api/v1/tasks/%2e%2e/x",
    "/api/v1/tasks/%2E",
    "/api/v1/tasks/../x",
    "/api/v1/tasks/./x",
    "/api/v1/tasks/..",
    "/..",
    "/api/v1//tasks",
    "//api/v1/tasks",
    "/api/v1/tasks//",
    "/api/v1/tasks;x=1",
    "/api/v1/tasks/a\\b",
    "/api/v1/tasks/%ff",
    "/api/v1/tasks/%c3%28",
    "/api/v1/tasks/%c0%af",
    "/api/v1/tasks/%ed%a0%80",
    "/api/v1/tasks/%",
    "/api/v1/tasks/%z1",
    "/api/v1/tasks/%4",
]


@pytest.mark.parametrize("path", REFUSED_PATHS)
async def test_r19_path_that_could_mean_two_things_400(gateway, connect, user, tasks, path):
    fields = f"Host: localhost\r\nAuthorization: Bearer {user.token}"
    async with connect(gateway.port) as raw:
        await raw.send(f"GET {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
        answer = await raw.answer()
    assert (answer.status, answer.code) == (400, "MALFORMED_PATH")
    assert tasks.requests == []


@pytest.mark.parametrize(
    "path",
    ["/api/v1/tasks/%C3%BC", "/api/v1/tasks/a%20b", "/api/v1/tasks/a.b", "/api/v1/tasks/a..b", "/api/v1/tasks/%3Fx"],
)
@pytest.mark.parametrize("query", ["", "?q=%2F%00..%2e;//", "?a=b&a=c", "?%ff"])
async def test_r19_path_and_query_go_on_as_they_came(gateway, user, tasks, path, query):
    target = f"{path}{query}"
    async with gateway.client() as api:
        answer = await api.get(httpx2.URL(gateway.url).copy_with(raw_path=target.encode()), headers=user.headers)
    assert answer.status_code == 200
    assert tasks.last.target == target


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        (["198.51.100.1, 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        (["198.51.100.1", "192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        (["192.0.2.1", "10.1.2.3"], "192.0.2.1"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["192.0.2.1, ::ffff:10.1.2.3"], "192.0.2.1"),
        (["10.1.1.1, 10.1.2.3"], "10.1.1.1"),
        (["nonsense"], "127.0.0.1"),
        (["192.0.2.1, nonsense"], "127.0.0.1"),
        ([""], "127.0.0.1"),
        ([], "127.0.0.1"),
    ],
)
async def test_r22_address_of_the_client_behind_proxies(start, user, tasks, forwarded, address):
    async with start(trusted_proxies=("127.0.0.1/32", "10.0.0.0/8")) as gateway, gateway.client() as api:
        headers = [*user.headers.items(), *(("x-forwarded-for", value) for value in forwarded)]
        assert (await api.get(PATH, headers=headers)).status_code == 200
    assert tasks.last.all("x-client-address") == [address]


async def test_r22_without_proxies_the_peer_is_the_client(api, user, tasks):
    await api.get(PATH, headers={**user.headers, "x-forwarded-for": "192.0.2.1"})
    assert tasks.last.all("x-client-address") == ["127.0.0.1"]


async def test_r22_addresses_of_one_network_share_a_limit(start):
    limits = {"anonymous_limit_per_minute": 1, "trusted_proxies": ("127.0.0.1/32",)}
    async with start(**limits) as gateway, gateway.client() as api:
        for address, status in (
            ("2001:db8:77:1::1", 200),
            ("2001:db8:77:1:ffff::2", 429),
            ("2001:db8:77:2::1", 200),
            ("198.18.7.1", 200),
            ("::ffff:198.18.7.1", 429),
        ):
            answer = await api.get("/docs", headers={"x-forwarded-for": address})
            assert (address, answer.status_code) == (address, status)


async def test_r34_security_fields_are_on_every_answer(api, user):
    for answer in (
        await api.get(PATH, headers=user.headers),
        await api.get(PATH),
        await api.get("/api/v1/nothing"),
        await api.get("/livez"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers


async def test_r34_hsts_when_clients_come_over_tls(start):
    async with start(public_base_url="https://tasks.example") as gateway, gateway.client() as api:
        assert (await api.get("/docs")).headers["strict-transport-security"].startswith("max-age=31536000")


async def test_r34_pages_of_listed_origins_may_read_answers(api, user, tasks, reply):
    tasks.behave = lambda _scope, _receive, send: reply(send, 200, b"{}", [(b"vary", b"Authorization")])
    headers = {**user.headers, "origin": "https://app.example"}
    for answer in (
        await api.get(PATH, headers=headers),
        await api.get(PATH, headers={"origin": "https://app.example"}),
    ):
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-credentials" not in answer.headers
        exposed = answer.headers["access-control-expose-headers"]
        assert {"ETag", "X-Cursor", "RateLimit", "X-RateLimit-Cost", "Retry-After", "X-Request-Id"} <= set(
            exposed.split(", ")
        )
        assert "Origin" in answer.headers.get_list("vary")
    kept = (await api.get(PATH, headers=headers)).headers.get_list("vary")
    assert sorted(kept) == ["Authorization", "Origin"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://APP.example", "https://app.example/"])
async def test_r34_pages_of_other_origins_may_not(api, user, origin, is_refused):
    answer = await api.get(PATH, headers={**user.headers, "origin": origin})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"
    preflight = {"origin": origin, "access-control-request-method": "POST"}
    answer = await api.options(PATH, headers=preflight)
    is_refused(answer, 403, "ORIGIN_NOT_ALLOWED")
    assert "access-control-allow-origin" not in answer.headers


async def test_r34_preflight_of_a_listed_origin_204(api, tasks):
    preflight = {
        "origin": "https://app.example",
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization,if-match",
    }
    answer = await api.options(PATH, headers=preflight)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-max-age"] == "600"
    assert "PATCH" in answer.headers["access-control-allow-methods"].split(", ")
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "if-match", "idempotency-key", "content-type", "upload-offset"} <= set(allowed)
    assert answer.headers.get_list("vary") == ["Origin"]
    assert tasks.requests == []


async def test_r23_preflights_are_counted_by_address(start, tasks, is_refused):
    preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
    limits = {"anonymous_limit_per_minute": 2, "trusted_proxies": ("127.0.0.1/32",)}
    somewhere = {"x-forwarded-for": f"198.51.102.{random.randrange(1, 255)}"}
    async with (
        start(cors_allow_origins=("https://app.example",), **limits) as gateway,
        gateway.client(headers=somewhere) as api,
    ):
        for remaining in (1, 0):
            answer = await api.options(PATH, headers=preflight)
            assert answer.status_code == 204
            assert answer.headers["ratelimit"].startswith(f'"anonymous";r={remaining};')
        is_refused(await api.options(PATH, headers=preflight), 429, "RATE_LIMITED")
    assert tasks.requests == []


def test_r19_what_needs_no_closer_look_would_stand_it():
    """The quick look at a path, and at the name of a field, lets nothing through that the long one refuses."""
    letters = ["/", "a", "Z", "0", ".", "-", "_", "~", "%", "%2e", "%2F", "\\", ";", " ", "\n", "é", "//", "/.."]
    paths = ["".join(parts).encode() for size in (1, 2, 3, 4) for parts in itertools.product(letters, repeat=size)]
    plain = [path for path in paths if PLAIN_PATH.fullmatch(path)]
    assert len(plain) == 378
    for path in plain:
        check_path(path)
    assert [name for name in COMMON if not HEADER_NAME.fullmatch(name)] == []
