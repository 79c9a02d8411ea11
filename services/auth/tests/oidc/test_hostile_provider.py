"""A provider that answers wrongly, by mistake or to get in: a stated refusal, and nothing comes to be."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import time

import httpx2
import jwt
import pytest
from aiohttp import web
from auth_service.oidc.rules import Expected, NotProven, UnknownKey, verify_id_token
from chassis.ids import uuid7
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from structlog.testing import capture_logs

REFUSED = (401, ["OIDC_REFUSED"])
UNAVAILABLE = (504, ["IDENTITY_PROVIDER_UNAVAILABLE"])
UNVERIFIED = (403, ["OIDC_EMAIL_UNVERIFIED"])
LARGE = 64 * 1024 + 1


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header, claims, sign=lambda _data: b""):
    """Make a token that no library would."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
    return f"{signed}.{b64(sign(signed.encode()))}"


def with_hmac(header, secret):
    return lambda claims: by_hand(header, claims, lambda data: hmac.digest(secret, data, hashlib.sha256))


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed(key, algorithm="RS256", **headers):
    return lambda claims: jwt.encode(claims, key, algorithm, headers={"kid": "good", **headers})


def raw_payload(key, payload):
    """A good signature over something that is no good JSON."""
    return lambda _claims: jwt.api_jws.encode(payload, key, "RS256", headers={"kid": "good"})


def attacked(provider, keys, name):
    """Let the provider make tokens of one sort of wrongness."""
    now = int(time.time())
    header = {"alg": "RS256", "kid": "good", "typ": "JWT"}
    signatures = {
        "alg none": lambda claims: by_hand({**header, "alg": "none"}, claims),
        "alg None": lambda claims: by_hand({**header, "alg": "None"}, claims),
        "no alg": lambda claims: by_hand({"kid": "good"}, claims),
        "alg not text": lambda claims: by_hand({**header, "alg": ["RS256"]}, claims),
        "HS256 with the client's secret": with_hmac({**header, "alg": "HS256"}, b"s3cret: of+the client"),
        "HS256 with the public key": with_hmac({**header, "alg": "HS256"}, public_pem(keys.good)),
        "RS512": signed(keys.good, "RS512"),
        "no signature": lambda claims: by_hand(header, claims),
        "a changed signature": lambda claims: signed(keys.good)(claims)[:-8] + "AAAAAAAA",
        "another key under the same kid": signed(keys.other),
        "an unknown kid": signed(keys.good, kid="other"),
        "kid not text": lambda claims: by_hand({**header, "kid": 1}, claims),
        "a key in the header": signed(
            keys.other, jwk=jwt.algorithms.RSAAlgorithm.to_jwk(keys.other.public_key(), as_dict=True)
        ),
        "an unknown crit": signed(keys.good, crit=["exp"]),
        "an access token": signed(keys.good, typ="at+jwt"),
        "JWE": lambda _claims: ".".join(b64(b'{"alg":"RSA-OAEP","enc":"A256GCM"}') for _ in range(5)),
        "not a token": lambda _claims: "token",
        "empty": lambda _claims: "",
        "dots": lambda _claims: "..",
        "claims that are a list": raw_payload(keys.good, b"[]"),
        "claims that are not JSON": raw_payload(keys.good, b"\xff{"),
        "deep claims": raw_payload(keys.good, b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
    }
    claims = {
        "another issuer": {"iss": "https://other.example"},
        "the issuer with a slash": {"iss": f"{provider.issuer}/"},
        "issuer not text": {"iss": [provider.issuer]},
        "another audience": {"aud": "other"},
        "audience in another case": {"aud": "Taskloom"},
        "no audience in a list": {"aud": []},
        "audience not text": {"aud": {"taskloom": 1}},
        "several audiences and no party": {"aud": ["taskloom", "other"]},
        "another party": {"azp": "other"},
        "another party of several": {"aud": ["taskloom", "other"], "azp": "other"},
        "another nonce": {"nonce": "A" * 43},
        "nonce not text": {"nonce": 1},
        "nonce beyond ASCII": {"nonce": "\u00e9"},
        "expired": {"iat": now - 400, "exp": now - 61},
        "of the future": {"iat": now + 120, "exp": now + 400},
        "not yet": {"nbf": now + 120},
        "exp not a number": {"exp": "soon"},
        "exp beyond reason": {"exp": float("inf")},
        "exp null": {"exp": None},
        "iat not a number": {"iat": {}},
        "another access token": {"at_hash": b64(hashlib.sha256(b"other").digest()[:16])},
        "at_hash not text": {"at_hash": 1},
        "at_hash beyond ASCII": {"at_hash": "\u00e9"},
        "subject empty": {"sub": ""},
        "subject too long": {"sub": "s" * 256},
        "subject not text": {"sub": 7},
        "subject with NUL": {"sub": "a\0b"},
        "subject with a lone surrogate": {"sub": "a\ud800"},
        "subject null": {"sub": None},
    }
    absent = {f"no {claim}": {claim} for claim in ("iss", "sub", "aud", "exp", "iat", "nonce")}
    if name in signatures:
        provider.sign = signatures[name]
    elif name in claims:
        provider.claims = claims[name]
    elif name in absent:
        provider.without = absent[name]
    return [*signatures, *claims, *absent]


TOKENS = [
    "alg none",
    "alg None",
    "no alg",
    "alg not text",
    "HS256 with the client's secret",
    "HS256 with the public key",
    "RS512",
    "no signature",
    "a changed signature",
    "another key under the same kid",
    "an unknown kid",
    "kid not text",
    "a key in the header",
    "an unknown crit",
    "an access token",
    "JWE",
    "not a token",
    "empty",
    "dots",
    "claims that are a list",
    "claims that are not JSON",
    "deep claims",
    "another issuer",
    "the issuer with a slash",
    "issuer not text",
    "another audience",
    "audience in another case",
    "no audience in a list",
    "audience not text",
    "several audiences and no party",
    "another party",
    "another party of several",
    "another nonce",
    "nonce not text",
    "nonce beyond ASCII",
    "expired",
    "of the future",
    "not yet",
    "exp not a number",
    "exp beyond reason",
    "exp null",
    "iat not a number",
    "another access token",
    "at_hash not text",
    "at_hash beyond ASCII",
    "subject empty",
    "subject too long",
    "subject not text",
    "subject with NUL",
    "subject with a lone surrogate",
    "subject null",
    "no iss",
    "no sub",
    "no aud",
    "no exp",
    "no iat",
    "no nonce",
]


def test_every_wrong_token_is_tried(provider, keys):
    assert attacked(provider, keys, "") == TOKENS


@pytest.fixture
def nothing_comes_of_it(enter, counts):
    """Logs in, and returns the answer, after a look that neither session nor account nor identity came to be."""

    async def nothing_comes_of_it():
        before = await counts()
        answer = await enter()
        assert await counts() == before
        return codes(answer)

    return nothing_comes_of_it


@pytest.mark.parametrize("name", TOKENS)
async def test_a_wrong_id_token_is_401(provider, keys, nothing_comes_of_it, refusals, name):
    attacked(provider, keys, name)
    assert await nothing_comes_of_it() == REFUSED
    outcome, details = await refusals()
    assert (outcome, details["provider"]) == ("refused", "scripted")
    assert "s3cret" not in details["reason"]


@pytest.mark.parametrize("claims", [{"azp": "taskloom"}, {"aud": ["taskloom", "other"], "azp": "taskloom"}], ids=str)
async def test_an_id_token_for_several_is_good_where_it_names_us(provider, enter, claims):
    provider.claims = claims
    assert (await enter()).status_code == 200


async def test_clocks_may_differ_by_a_minute(provider, enter):
    now = int(time.time())
    provider.claims = {"iat": now - 400, "exp": now - 45}
    assert (await enter()).status_code == 200
    provider.claims = {"iat": now + 45, "exp": now + 400}
    assert (await enter()).status_code == 200


async def test_each_accepted_algorithm(provider, keys, enter):
    elliptic, edwards = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    provider.published = [
        published(keys.good, "rsa"),
        published(elliptic, "ec"),
        published(edwards, "ed"),
        {"kty": "oct", "kid": "oct", "k": "AAAA"},
        {"kty": "new", "kid": "new"},
    ]
    for algorithm, key, kid in (
        ("RS256", keys.good, "rsa"),
        ("PS256", keys.good, "rsa"),
        ("ES256", elliptic, "ec"),
        ("EdDSA", edwards, "ed"),
    ):
        provider.sign = signed(key, algorithm, kid=kid)
        provider.without = {"at_hash"} if algorithm == "EdDSA" else set()
        assert (await enter()).status_code == 200, algorithm


def published(key, kid, **more):
    kinds = {"rsa": jwt.algorithms.RSAAlgorithm, "ec": jwt.algorithms.ECAlgorithm, "ed": jwt.algorithms.OKPAlgorithm}
    found = kinds[kid].to_jwk(key.public_key(), as_dict=True)
    found.pop("key_ops", None)
    return {**found, "kid": kid, **more}


KEY_SETS = {
    "weak": lambda keys: ([published(keys.weak, "rsa")], signed(keys.weak, kid="rsa")),
    "for encryption": lambda keys: ([published(keys.good, "rsa", use="enc")], signed(keys.good, kid="rsa")),
    "for another algorithm": lambda keys: ([published(keys.good, "rsa", alg="PS256")], signed(keys.good, kid="rsa")),
    "twice the same id": lambda keys: (
        [published(keys.other, "rsa"), published(keys.good, "rsa")],
        signed(keys.good, kid="rsa"),
    ),
    "broken": lambda keys: ([{"kty": "RSA", "kid": "rsa", "n": "!", "e": 7}], signed(keys.good, kid="rsa")),
    "a secret one": lambda _keys: (
        [{"kty": "oct", "kid": "good", "k": b64(b"s" * 32)}],
        with_hmac({"alg": "HS256", "kid": "good"}, b"s" * 32),
    ),
    "of no text": lambda keys: (["text", {"kid": "good"}], signed(keys.good)),
}


@pytest.mark.parametrize("name", KEY_SETS)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_key_that_does_not_serve_is_401(provider, keys, nothing_comes_of_it, name):
    provider.published, provider.sign = KEY_SETS[name](keys)
    assert await nothing_comes_of_it() == REFUSED


def without_id(key):
    return {name: value for name, value in published(key, "rsa").items() if name != "kid"}


@pytest.mark.parametrize("sort", ["another key", "another type of key"])
async def test_keys_without_ids_may_have_changed(provider, keys, sort):
    """Then a signature that does not fit tells it, and the keys are asked for as they are for an unknown id."""
    expected = Expected(provider.issuer, "taskloom", "n", None)
    now = int(time.time())
    claims = {"iss": provider.issuer, "sub": "s", "aud": "taskloom", "iat": now, "exp": now + 60, "nonce": "n"}
    token = jwt.encode(claims, keys.good, "RS256")
    old = without_id(keys.other) if sort == "another key" else {"kty": "EC", "crv": "P-256"}
    with pytest.raises(UnknownKey):
        verify_id_token(token, keys=[old], expected=expected)
    assert verify_id_token(token, keys=[without_id(keys.good)], expected=expected)["sub"] == "s"
    named = jwt.encode(claims, keys.good, "RS256", headers={"kid": "one"})
    with pytest.raises(NotProven) as caught:
        verify_id_token(named, keys=[{**without_id(keys.other), "kid": "one"}], expected=expected)
    assert caught.type is NotProven


async def test_a_wrong_signature_without_a_key_id_asks_for_the_keys_at_most_once_in_ten_seconds(provider, enter, keys):
    provider.published = [without_id(keys.good)]
    provider.sign = lambda claims: jwt.encode(claims, keys.other, "RS256")
    for _ in range(3):
        assert codes(await enter()) == REFUSED
    assert provider.asked.count("/jwks") == 1


@pytest.mark.parametrize(
    "more",
    [{"id_token": None}, {"id_token": 7}, {"id_token": ["x"]}, {"access_token": None}, {"access_token": "a b"}],
    ids=str,
)
async def test_a_token_answer_without_what_was_asked_for_is_401(provider, nothing_comes_of_it, more):
    """Without the access token nothing shows that the one that the ID token names was given to us."""
    provider.token_more = more
    assert await nothing_comes_of_it() == REFUSED


async def slow(_request):
    await asyncio.sleep(30)
    return web.Response()


async def drip(request):
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.2)


async def endless(request):
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 8192)


async def cut(request):
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b"{")
    request.transport.abort()
    return response


def answering(body=b"", status=200, **headers):
    async def answer(_request):
        return web.Response(body=body, status=status, headers={"content-type": "application/json", **headers})

    return answer


BROKEN = {
    "slow": slow,
    "dripping": drip,
    "endless": endless,
    "cut short": cut,
    "oversized": answering(b'{"a": "' + b"a" * LARGE + b'"}'),
    "a bomb": answering(gzip.compress(b" " * 10_000_000), **{"content-encoding": "gzip"}),
    "a redirect": answering(status=302, location="/elsewhere"),
    "a redirect that keeps the method": answering(status=307, location="/elsewhere"),
    "HTML": answering(b"<html>Sign in</html>", **{"content-type": "text/html"}),
    "a list": answering(b"[]"),
    "null": answering(b"null"),
    "nothing": answering(),
    "NaN": answering(b'{"a": NaN}'),
    "a lone surrogate": answering(b'{"id_token": "\\ud800"}'),
    "deep": answering(b'{"a":' + b"[" * 20_000),
    "an error of its own": answering(b'{"error": "server_error"}', 500),
    "busy": answering(b"{}", 429),
    "gone": answering(b"", 404),
    "no content": answering(status=204),
}
PATHS = ("/.well-known/openid-configuration", "/jwks", "/token")


@pytest.mark.parametrize("name", BROKEN)
async def test_a_provider_that_can_not_be_used_is_504(sso, provider, counts, name):
    """At the token endpoint, and for the keys; each within seconds and without a step elsewhere."""
    before, began = await counts(), time.monotonic()
    for path in ("/token", "/jwks"):
        flow = await sso.start()
        code = provider.authorize(flow["authorization_url"])
        provider.answers = {path: BROKEN[name]}
        answer = await sso.complete(flow, code)
        assert codes(answer) == UNAVAILABLE, path
        assert answer.headers["retry-after"] == "1"
        provider.answers = {}
    assert await counts() == before
    assert time.monotonic() - began < 15
    assert "/elsewhere" not in provider.asked


@pytest.mark.parametrize("name", BROKEN)
async def test_a_discovery_that_can_not_be_used_is_504_and_asked_for_again(sso, provider, rows, name):
    flows = await rows("SELECT count(*) FROM auth.oidc_flow")
    provider.answers = {PATHS[0]: BROKEN[name]}
    body = {"redirect_uri": "http://127.0.0.1:3999/login/done"}
    assert codes(await sso.api.post("/api/v1/auth/oidc/scripted/start", json=body)) == UNAVAILABLE
    assert await rows("SELECT count(*) FROM auth.oidc_flow") == flows
    provider.answers = {}
    await sso.start()
    assert "/elsewhere" not in provider.asked


async def test_what_one_request_asks_of_a_provider_is_waited_for_2_4_seconds_altogether(
    sso, provider, enter, nothing_comes_of_it
):
    """Each answer alone is soon enough; the gateway waits for 3 seconds."""

    def late(handler):
        async def answer(request):
            await asyncio.sleep(0.9)
            return await handler(request)

        return answer

    provider.without = {"email", "email_verified"}
    provider.userinfo = {"sub": provider.subject, "email": provider.email, "email_verified": True}
    handlers = {"/token": provider.token, "/jwks": provider.jwks, "/userinfo": provider.tell_userinfo}
    provider.answers = {path: late(handler) for path, handler in handlers.items()}
    assert await nothing_comes_of_it() == UNAVAILABLE
    assert provider.asked[-1] == "/userinfo"
    del provider.answers["/jwks"]
    assert (await enter()).status_code == 200


async def test_504_for_a_provider_that_is_not_there(api, login):
    body = {"redirect_uri": "https://app.example.com/done"}
    for action, headers in (("start", {}), ("link", login.headers)):
        answer = await api.post(f"/api/v1/auth/oidc/nowhere/{action}", json=body, headers=headers)
        assert codes(answer) == UNAVAILABLE


DISCOVERIES = {
    "another issuer": {"issuer": "https://other.example"},
    "the issuer with a slash": None,
    "no issuer": {"issuer": None},
    "endpoint without TLS": {"token_endpoint": "http://192.0.2.1/token"},
    "endpoint that is a file": {"jwks_uri": "file:///etc/passwd"},
    "endpoint with a password": {"token_endpoint": "https://a:b@example.com/token"},
    "endpoint that is a number": {"authorization_endpoint": 7},
    "endpoint with a line break": {"authorization_endpoint": "https://example.com/\r\nx: y"},
    "endpoint that is a script": {"authorization_endpoint": "javascript:alert(1)//"},
    "endpoint that is cut short": {"token_endpoint": "https://["},
    "no keys": {"jwks_uri": None},
    "methods that are text": {"token_endpoint_auth_methods_supported": "client_secret_basic"},
}


@pytest.mark.parametrize("name", DISCOVERIES)
async def test_a_discovery_document_that_is_not_the_providers_is_504(sso, provider, name):
    provider.discovery = DISCOVERIES[name] or {"issuer": f"{provider.issuer}/"}
    body = {"redirect_uri": "http://127.0.0.1:3999/login/done"}
    assert codes(await sso.api.post("/api/v1/auth/oidc/scripted/start", json=body)) == UNAVAILABLE


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"error": "invalid_grant"}, REFUSED),
        (400, {"error": "invalid_request", "error_description": "x" * 1000}, REFUSED),
        (400, {"error": 7}, UNAVAILABLE),
        (400, {}, UNAVAILABLE),
        (400, {"error": "unauthorized_client"}, UNAVAILABLE),
        (401, {"error": "invalid_client"}, UNAVAILABLE),
        (403, {"error": "access_denied"}, UNAVAILABLE),
    ],
    ids=str,
)
async def test_whose_fault_a_refused_code_is(provider, nothing_comes_of_it, status, error, expected):
    provider.answers = {"/token": answering(json.dumps(error).encode(), status)}
    assert await nothing_comes_of_it() == expected


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
@pytest.mark.parametrize("status", [400, 401])
async def test_a_client_that_the_provider_does_not_know_is_an_error_in_the_log(provider, enter, error, status):
    """Nobody can log in there before the configuration is mended."""
    provider.answers = {"/token": answering(json.dumps({"error": error}).encode(), status)}
    with capture_logs() as logs:
        assert codes(await enter()) == UNAVAILABLE
    assert [one for one in logs if one["event"] == "oidc.client_refused"] == [
        {"event": "oidc.client_refused", "log_level": "error", "provider": "scripted", "error": error}
    ]


@pytest.mark.parametrize("path", ["/token", "/jwks"])
async def test_an_answer_that_is_packed_is_not_unpacked(sso, provider, counts, path):
    """Whatever it is: it was asked for as it is."""
    handler = {"/token": provider.token, "/jwks": provider.jwks}[path]

    async def packed(request):
        body = gzip.compress((await handler(request)).body)
        return web.Response(body=body, headers={"content-type": "application/json", "content-encoding": "gzip"})

    before, flow = await counts(), await sso.start()
    provider.answers = {path: packed}
    assert codes(await sso.complete(flow, provider.authorize(flow["authorization_url"]))) == UNAVAILABLE
    assert await counts() == before


USERINFO = {
    "of somebody else": ({"sub": "other"}, REFUSED),
    "of nobody": ({"email": "a@example.com", "email_verified": True}, REFUSED),
    "subject not text": ({"sub": ["x"]}, REFUSED),
}


@pytest.mark.parametrize("name", USERINFO)
async def test_userinfo_about_somebody_else_is_401(provider, nothing_comes_of_it, name):
    provider.without = {"email", "email_verified"}
    provider.userinfo, expected = USERINFO[name]
    assert await nothing_comes_of_it() == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (answering(b"eyJ.eyJ.x", **{"content-type": "application/jwt"}), UNAVAILABLE),
        (answering(b"{}", 401), REFUSED),
        (answering(b"{}", 500), UNAVAILABLE),
        (answering(status=302, location="/elsewhere"), UNAVAILABLE),
        (answering(b"a" * LARGE), UNAVAILABLE),
    ],
    ids=["signed", "unauthorized", "failing", "redirecting", "oversized"],
)
async def test_userinfo_that_can_not_be_used(provider, nothing_comes_of_it, answer, expected):
    provider.without = {"email", "email_verified"}
    provider.answers = {"/userinfo": answer}
    assert await nothing_comes_of_it() == expected
    assert "/elsewhere" not in provider.asked


@pytest.mark.parametrize(
    "email",
    [
        None,
        "",
        7,
        ["ada@example.com"],
        {"a": 1},
        "ada",
        "@example.com",
        "ada@example.com, eve@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada\0@example.com",
        "ada@exa\u202emple.com",
        "ada@localhost",
        "a" * 243 + "@example.com",
        "ada@" + "a" * 300 + ".com",
        "<script>@example.com",
        "ada@[127.0.0.1]",
        "\u00e9@example.com",
    ],
    ids=ascii,
)
async def test_an_address_that_is_none_opens_no_account(provider, nothing_comes_of_it, email):
    provider.claims = {"email": email}
    assert await nothing_comes_of_it() == UNVERIFIED


async def test_an_address_with_a_lone_surrogate_opens_no_account(provider, keys, nothing_comes_of_it):
    provider.claims = {"email": "ada\ud800@example.com", "name": "\udfff"}
    assert await nothing_comes_of_it() == UNVERIFIED


async def test_a_hostile_provider_can_not_slow_others_down(open_api, provider, counts):
    """While one does not answer, the other does, and what waits holds no connection."""
    provider.answers = {PATHS[0]: slow}
    honest = type(provider)(provider.key)
    async with honest.serving():
        configs = [provider.config(), honest.config(id="honest")]
        async with open_api(oidc_providers=configs) as api:
            body = {"redirect_uri": "http://127.0.0.1:3999/login/done"}
            stuck = [asyncio.create_task(api.post("/api/v1/auth/oidc/scripted/start", json=body)) for _ in range(30)]
            flow = (await api.post("/api/v1/auth/oidc/honest/start", json=body)).json()["data"]
            done = {"state": flow["state"], "flow_token": flow["flow_token"]}
            done["code"] = honest.authorize(flow["authorization_url"])
            answer: httpx2.Response = await api.post("/api/v1/auth/oidc/honest/complete", json=done)
            assert answer.status_code == 200
            assert not any(task.done() for task in stuck)
            assert {codes(await task) == UNAVAILABLE for task in stuck} == {True}
    assert provider.asked == [PATHS[0]]


async def test_nothing_of_a_refused_answer_is_told_or_kept(provider, enter, rows):
    marker = uuid7().hex
    provider.claims = {"nonce": marker, "email": f"{marker}@example.com", "name": marker}
    answer = await enter()
    assert codes(answer) == REFUSED
    assert marker not in answer.text
    assert await rows("SELECT count(*) FROM auth.audit_event e WHERE e::text LIKE :m", m=f"%{marker}%") == [(0,)]
