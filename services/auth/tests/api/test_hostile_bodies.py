"""Bodies and queries that nobody sends by accident (R27 to R31): a stated refusal from every route, never a 5xx."""

import pytest
from auth_service.main import ROUTERS
from chassis.ids import uuid7
from chassis.web.handlers import api_routes

DEEP = b'{"email":' + b"[" * 100 + b"]" * 100 + b"}"
FIELDS = {
    "/api/v1/auth/register": "display_name",
    "/api/v1/auth/login": "email",
    "/api/v1/auth/refresh": "refresh_token",
    "/api/v1/auth/verify-email": "token",
    "/api/v1/auth/verify-email/resend": "email",
    "/api/v1/auth/password/forgot": "email",
    "/api/v1/auth/password/reset": "password",
    "/api/v1/auth/password/change": "new_password",
    "/api/v1/auth/email/change": "email",
    "/api/v1/users/me": "display_name",
    "/api/v1/auth/reactivate": "email",
    "/api/v1/admin/users/{user_id}/roles": "roles",
    "/api/v1/auth/tokens": "name",
    "/api/v1/auth/login/mfa": "mfa_token",
    "/api/v1/auth/step-up": "otp",
    "/api/v1/auth/mfa/totp/confirm": "code",
    "/api/v1/auth/passkeys/register": "challenge_id",
    "/api/v1/auth/passkeys/login/options": "email",
    "/api/v1/auth/passkeys/login": "challenge_id",
    "/api/v1/auth/passkeys/{passkey_id}": "name",
    "/api/v1/auth/oidc/{provider}/start": "redirect_uri",
    "/api/v1/auth/oidc/{provider}/link": "redirect_uri",
    "/api/v1/auth/oidc/{provider}/complete": "code",
    "/api/v1/service-accounts": "name",
    "/api/v1/service-accounts/{account_id}": "name",
    "/api/v1/service-accounts/{account_id}/tokens": "name",
}
ROUTES = [
    ("POST", "/api/v1/auth/register"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
    ("POST", "/api/v1/auth/verify-email"),
    ("POST", "/api/v1/auth/verify-email/resend"),
    ("POST", "/api/v1/auth/password/forgot"),
    ("POST", "/api/v1/auth/password/reset"),
    ("POST", "/api/v1/auth/password/change"),
    ("POST", "/api/v1/auth/email/change"),
    ("PATCH", "/api/v1/users/me"),
    ("POST", "/api/v1/auth/reactivate"),
    ("PUT", "/api/v1/admin/users/{user_id}/roles"),
    ("POST", "/api/v1/auth/tokens"),
    ("POST", "/api/v1/auth/login/mfa"),
    ("POST", "/api/v1/auth/step-up"),
    ("POST", "/api/v1/auth/mfa/totp/confirm"),
    ("POST", "/api/v1/auth/passkeys/register"),
    ("POST", "/api/v1/auth/passkeys/login/options"),
    ("POST", "/api/v1/auth/passkeys/login"),
    ("PATCH", "/api/v1/auth/passkeys/{passkey_id}"),
    ("POST", "/api/v1/auth/oidc/{provider}/start"),
    ("POST", "/api/v1/auth/oidc/{provider}/link"),
    ("POST", "/api/v1/auth/oidc/{provider}/complete"),
    ("POST", "/api/v1/service-accounts"),
    ("PATCH", "/api/v1/service-accounts/{account_id}"),
    ("POST", "/api/v1/service-accounts/{account_id}/tokens"),
]
# A body that may be left out, or be null: test_administration has what is wrong with one.
OPTIONAL = {("POST", "/api/v1/admin/users/{user_id}/disable")}
# What only the gateway asks: test_resolving_api_tokens.
INTERNAL = {("POST", "/internal/api-tokens/resolve")}
UNPARSABLE = {
    "NaN": b'{"FIELD": NaN}',
    "infinity": b'{"FIELD": -Infinity}',
    "overflow": b'{"FIELD": 1e999}',
    "lone surrogate": b'{"FIELD": "\\ud800"}',
    "surrogate in a key": b'{"\\udfff": 1}',
    "invalid UTF-8": b'{"FIELD": "\xff"}',
    "byte order mark": b'\xef\xbb\xbf{"FIELD": "a"}',
    "UTF-16": '{"FIELD": "a"}'.encode("utf-16"),
    "duplicate key": b'{"FIELD": "a", "FIELD": "b"}',
    "duplicate key inside": b'{"FIELD": {"a": 1, "a": 2}}',
    "depth 33": b'{"FIELD": ' + b"[" * 32 + b"]" * 32 + b"}",
    "depth 100,000": b'{"FIELD": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "too many values": b'{"FIELD": [' + b"0," * 10_000 + b"0]}",
    "cut short": b'{"FIELD": "a"',
    "two values": b'{"FIELD": "a"} {}',
    "a comment": b'{"FIELD": "a" /* a */}',
    "control character": b'{"FIELD": "\x01"}',
    "white space": b"  ",
}
INVALID = {
    "NUL": b'{"FIELD": "a\\u0000b"}',
    "NUL in a key": b'{"a\\u0000b": 1}',
    "integer of 20 digits": b'{"FIELD": 99999999999999999999}',
    "integer beyond int64": b'{"FIELD": 9223372036854775808}',
    "integer": b'{"FIELD": 7}',
    "float": b'{"FIELD": 1.5}',
    "boolean": b'{"FIELD": true}',
    "null": b'{"FIELD": null}',
    "list": b'{"FIELD": ["a"]}',
    "object": b'{"FIELD": {"a": "b"}}',
    "year 9999": b'{"FIELD": "a", "created_at": "9999-12-31T23:59:59-12:00"}',
    "year 1": b'{"FIELD": "a", "created_at": "0001-01-01T00:00:00+14:00"}',
    "huge text": b'{"FIELD": "' + b"a" * 100_000 + b'"}',
    "a list as the body": b'["a"]',
    "null as the body": b"null",
    "text as the body": b'"a"',
    "a number as the body": b"7",
    "unknown field": b'{"FIELD": "a", "__proto__": {}, "is_admin": true}',
}
ACCOUNTS = "SELECT count(*), sum(version) FROM auth.account"


def of_field(body, path):
    return body.replace(b"FIELD", FIELDS[path].encode())


@pytest.fixture
async def service_account(api, login, tasks_api):
    """A service account that the caller administers."""
    workspace = uuid7()
    tasks_api.join(login.account.id, workspace, "owner")
    body = {"workspace_id": str(workspace), "name": "robot"}
    answer = await api.post("/api/v1/service-accounts", json=body, headers=login.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]["id"]


@pytest.fixture
async def send(api, login, make_admin, test_gateway, service_account):
    await make_admin(login.account)
    identity = test_gateway.headers(login.account.id, session_id=login.session_id, roles=["user", "admin"])

    async def send(method, path, body, **headers):
        conditional = {"if-match": "*"} if method == "PUT" else {}
        all_headers = {**identity, "content-type": "application/json", **conditional, **headers}
        content = of_field(body, path) if isinstance(body, bytes) else body
        filled = path.replace("{provider}", "nowhere").replace("{passkey_id}", str(login.account.id))
        filled = filled.replace("{user_id}", str(login.account.id)).replace("{account_id}", service_account)
        return await api.request(method, filled, content=content, headers=all_headers)

    return send


def test_every_route_with_a_json_body_is_attacked_here():
    with_body = {
        (*route.methods, route.path)
        for route in api_routes(ROUTERS)
        if route.body_field is not None and type(route.body_field.field_info).__name__ == "Body"
    }
    assert with_body == {*ROUTES, *OPTIONAL, *INTERNAL}


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_r29_what_is_no_strict_json_is_400(send, rows, method, path):
    before = await rows(ACCOUNTS)
    for name, body in UNPARSABLE.items():
        answer = await send(method, path, body)
        codes = [error["code"] for error in answer.json()["errors"]]
        assert (answer.status_code, codes) == (400, ["MALFORMED_JSON"]), name
        assert answer.json()["data"] is None
    # The account of the caller itself was made before the first count.
    assert await rows(ACCOUNTS) == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_r30_what_is_json_and_not_valid_is_422_and_not_repeated(send, rows, method, path):
    before = await rows(ACCOUNTS)
    for name, body in INVALID.items():
        answer = await send(method, path, body)
        assert answer.status_code == 422, (name, answer.text)
        assert answer.json()["errors"], name
        allowed = {"field", "code", "message", "hint", "allowed"}
        assert all(error.keys() <= allowed for error in answer.json()["errors"]), name
        assert len(answer.content) < 4096, name
    assert await rows(ACCOUNTS) == before


OTHER_TYPES = (
    {"content-type": "text/plain"},
    {"content-type": ""},
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "multipart/form-data; boundary=a"},
    {"content-type": "application/json; charset=latin-1"},
    {"content-type": "application/json; charset=utf-16"},
    {"content-type": "application/jsonp"},
    {"content-encoding": "gzip"},
    {"content-encoding": "br, gzip"},
)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_r29_another_type_or_an_encoding_is_415(send, method, path):
    for headers in OTHER_TYPES:
        answer = await send(method, path, b'{"FIELD": "a"}', **headers)
        codes = [error["code"] for error in answer.json()["errors"]]
        assert (answer.status_code, codes) == (415, ["UNSUPPORTED_MEDIA_TYPE"]), headers


NO_FIELD_NEEDED = {
    ("PATCH", "/api/v1/users/me"),
    ("POST", "/api/v1/auth/step-up"),
    ("POST", "/api/v1/auth/passkeys/login/options"),
    ("PATCH", "/api/v1/auth/passkeys/{passkey_id}"),
    ("PATCH", "/api/v1/service-accounts/{account_id}"),
}


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_no_body_at_all_is_422_unless_no_field_has_to_be_there(send, method, path):
    answer, empty = [await send(method, path, body) for body in (b"", b"{}")]
    if (method, path) in NO_FIELD_NEEDED:
        codes = [[error["code"] for error in one.json()["errors"]] for one in (answer, empty)]
        assert (answer.status_code, codes[0]) == (empty.status_code, codes[1])
    else:
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "REQUIRED")


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_r16_a_body_of_more_than_1_mib_is_413(send, method, path):
    answer = await send(method, path, b'{"a": "' + b"a" * 1024 * 1024 + b'"}')
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_r16_a_stream_of_more_than_1_mib_is_413_and_not_read_to_its_end(send, method, path):
    taken = []

    async def stream():
        yield b'{"a": "'
        for number in range(64):
            taken.append(number)
            yield b"a" * 64 * 1024

    answer = await send(method, path, stream())
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert len(taken) <= 18


@pytest.mark.parametrize("route", list(api_routes(ROUTERS)), ids=lambda route: route.name)
async def test_r31_an_unknown_query_parameter_is_422_on_every_route(api, account, test_gateway, route):
    (method,) = route.methods
    internal = route.path.startswith("/internal")
    headers = test_gateway.service_headers() if internal else account.headers()
    path = route.path.replace("{session_id}", str(account.id))
    if route.name == "log_in_by_form":
        headers["content-type"] = "application/x-www-form-urlencoded"
    answer = await api.request(method, f"{path}?surprise=1", headers=headers)
    codes = [(error["field"], error["code"]) for error in answer.json()["errors"]]
    # What else is wrong, such as a body that is not there, is told with it.
    assert (answer.status_code, codes[0]) == (422, ("surprise", "UNKNOWN_PARAMETER"))


async def test_r31_a_repeated_query_parameter_is_422(api, test_gateway):
    answer = await api.get("/internal/revocations?since=1&since=2", headers=test_gateway.service_headers())
    codes = [(error["field"], error["code"]) for error in answer.json()["errors"]]
    assert (answer.status_code, codes) == (422, [("since", "REPEATED_PARAMETER")])


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/v1/auth/login", "POST"),
        ("/api/v1/users/me", "DELETE, GET, HEAD, PATCH"),
        ("/.well-known/jwks.json", "GET, HEAD"),
    ],
)
async def test_r27_another_method_is_405_with_allow(api, path, allow):
    answer = await api.put(path, json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["errors"][0]["code"] == "METHOD_NOT_ALLOWED"


async def test_r27_an_unknown_route_is_404_in_the_envelope(api):
    answer = await api.get("/api/v1/auth/nothing")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NOT_FOUND")
    assert answer.json()["meta"]["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("agent", ["a\0b", "\x7f", "\xff" * 300, ""])
async def test_a_strange_user_agent_does_not_stop_a_login(api, account, agent):
    headers = {"user-agent": agent.encode("latin-1")}
    answer = await api.post("/api/v1/auth/login", json=account.credentials, headers=headers)
    assert answer.status_code == 200
