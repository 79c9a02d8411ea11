"""Access tokens at the edge (R1, R2, R3, R7): whatever is not one of ours is 401, never 5xx."""

import asyncio
import base64
import json
import time

import jwt
import pytest
from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.tokens import AccessToken
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway.auth import Authenticator
from testkit.waiting import eventually

PATH = "/api/v1/tasks"


def part(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unsigned(issuer, header, claims=None):
    return f"{part(header)}.{part(claims or issuer.claims())}."


def signed(issuer, claims):
    return issuer.sign({"alg": "EdDSA", "typ": "at+jwt", "kid": issuer.kid}, claims)


def with_algorithm(issuer, algorithm, key):
    return jwt.encode(issuer.claims(), key, algorithm, headers={"typ": "at+jwt", "kid": issuer.kid})


def hmac_with_the_public_key(issuer):
    header, claims = {"alg": "HS256", "typ": "at+jwt", "kid": issuer.kid}, issuer.claims()
    content = f"{part(header)}.{part(claims)}"
    digest = jwt.get_algorithm_by_name("HS256").sign(content.encode(), issuer.public_bytes)
    return f"{content}.{part(digest)}"


def changed(issuer):
    header, claims, signature = issuer.token().split(".")
    other = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return f"{header}.{part({**other, 'sub': str(uuid7())})}.{signature}"


def missing(claim):
    return lambda issuer: issuer.token(**{claim: ...})


def header(**fields):
    return lambda issuer: issuer.token(header=fields)


def claims(**fields):
    return lambda issuer: issuer.token(**fields)


def now(offset=0):
    return int(time.time()) + offset


RSA = rsa.generate_private_key(65537, 2048)
HOSTILE = {
    "alg none": lambda i: unsigned(i, {"alg": "none", "typ": "at+jwt", "kid": i.kid}),
    "alg None": lambda i: unsigned(i, {"alg": "None", "typ": "at+jwt", "kid": i.kid}),
    "alg EdDSA unsigned": lambda i: unsigned(i, {"alg": "EdDSA", "typ": "at+jwt", "kid": i.kid}),
    "alg missing": lambda i: unsigned(i, {"typ": "at+jwt", "kid": i.kid}),
    "alg number": lambda i: unsigned(i, {"alg": 1, "typ": "at+jwt", "kid": i.kid}),
    "HS256 with the public key": hmac_with_the_public_key,
    "RS256": lambda i: with_algorithm(i, "RS256", RSA),
    "ES256": lambda i: with_algorithm(i, "ES256", ec.generate_private_key(ec.SECP256R1())),
    "signed by another key": lambda i: jwt.encode(
        i.claims(), Ed25519PrivateKey.generate(), "EdDSA", headers={"typ": "at+jwt", "kid": i.kid}
    ),
    "claims changed": changed,
    "signature cut": lambda i: i.token()[:-10],
    "signature of zeros": lambda i: i.token().rpartition(".")[0] + "." + part(bytes(64)),
    "typ JWT": header(typ="JWT"),
    "typ missing": header(typ=...),
    "typ of the internal identity": header(typ="taskloom-identity+jwt"),
    "kid missing": header(kid=...),
    "kid unknown": header(kid="2020-z"),
    "kid number": header(kid=7),
    "kid with a path": header(kid="../../dev/null"),
    "jku": header(jku="https://evil.example/keys"),
    "jwk": header(jwk={"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
    "x5u": header(x5u="https://evil.example/cert"),
    "alg EdDSA in lower case": header(alg="eddsa"),
    "x5c": header(x5c=["MIIB"]),
    "crit": header(crit=["exp"], exp=1),
    "b64": header(b64=False, crit=["b64"]),
    **{f"{claim} missing": missing(claim) for claim in ("iss", "aud", "sub", "sid", "jti", "iat", "exp")},
    "aud a list": claims(aud=["taskloom-api"]),
    "aud wrong": claims(aud="taskloom-internal"),
    "aud empty": claims(aud=""),
    "iss wrong": claims(iss="taskloom-gateway"),
    "iss a list": claims(iss=["taskloom"]),
    "lives longer than allowed": lambda i: i.token(exp=now(86_400 + 60), iat=now()),
    "exp past": lambda i: i.token(exp=now(-1), iat=now(-100), nbf=now(-100)),
    "exp now, within the leeway of the library": lambda i: i.token(exp=now(), iat=now(-100), nbf=now(-100)),
    "exp a text": lambda i: i.token(exp=str(now(60))),
    "exp a fraction": lambda i: i.token(exp=now(60) + 0.5),
    "exp true": claims(exp=True),
    "exp null": claims(exp=None),
    "exp huge": claims(exp=10**30),
    "exp infinite": claims(exp=float("inf")),
    "exp not a number": claims(exp=float("nan")),
    "iat in the future": lambda i: i.token(iat=now(60)),
    "iat a text": lambda i: i.token(iat="now"),
    "iat negative": claims(iat=-1),
    "nbf in the future": lambda i: i.token(nbf=now(60)),
    "nbf a text": claims(nbf="later"),
    "sub no UUID": claims(sub="alice"),
    "sub a number": claims(sub=1),
    "sub null": claims(sub=None),
    "sid no UUID": claims(sid="session"),
    "sid a list": lambda i: i.token(sid=[str(uuid7())]),
    "roles a number": claims(roles=7),
    "claims a list": lambda i: signed(i, [1, 2]),
    "claims a text": lambda i: signed(i, "claims"),
    "claims not JSON": lambda i: signed(i, b"{"),
    "claims not UTF-8": lambda i: signed(i, b"\xff\xfe"),
    "claims deep": lambda i: signed(i, b"[" * 1500 + b"]" * 1500),
    "header a list": lambda i: f"{part([])}.{part(i.claims())}.{part(bytes(64))}",
    "header not base64": lambda i: f"!!!.{part(i.claims())}.{part(bytes(64))}",
    "header not JSON": lambda i: f"{part(b'{')}.{part(i.claims())}.{part(bytes(64))}",
    "longer than 4 KiB": lambda i: i.token(padding="x" * 4096),
    "one dot": lambda i: i.token().rpartition(".")[0],
    "four parts": lambda i: i.token() + ".x",
    "five parts": lambda i: i.token() + ".x.y",
    "dots only": lambda _: "...",
    "two dots": lambda _: "..",
    "not ASCII": lambda i: i.token() + "\xe9",
    "no-break space before": lambda i: "\xa0" + i.token(),
    "space within": lambda i: i.token().replace(".", " .", 1),
    "an API token that does not exist": lambda _: "tlm_pat_" + "a" * 38,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
async def test_r2_hostile_token_401(api, auth, tasks, is_refused, make):
    answer = await api.get(PATH, headers={"authorization": f"Bearer {make(auth.issuer)}".encode("latin-1")})
    is_refused(answer, 401, "INVALID_TOKEN")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert tasks.requests == []


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Basic YTpi", "Token abc", "eyJhbGciOiJFZERTQSJ9.e30.x", "Bearer\tabc"]
)
async def test_r2_no_bearer_credentials_401(api, tasks, is_refused, value):
    answer = await api.get(PATH, headers={"authorization": value})
    is_refused(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert tasks.requests == []


@pytest.mark.parametrize("second", ["Bearer x", None])
async def test_r2_several_authorization_fields_401(api, user, tasks, is_refused, second):
    both = [("authorization", f"Bearer {user.token}"), ("authorization", second or f"Bearer {user.token}")]
    answer = await api.get(PATH, headers=both)
    is_refused(answer, 401, "INVALID_TOKEN")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert tasks.requests == []


@pytest.mark.parametrize("prefix", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
async def test_r1_token_of_ours_200(api, user, tasks, prefix):
    assert (await api.get(PATH, headers={"authorization": prefix + user.token})).status_code == 200
    assert len(tasks.requests) == 1


async def test_r1_clocks_may_differ_by_half_a_minute_200(api, auth):
    ahead = auth.user(iat=now(20), nbf=now(20))
    assert (await api.get(PATH, headers=ahead.headers)).status_code == 200


async def test_r21_the_service_learns_who_calls_from_the_gateway_alone(api, auth, tasks, test_gateway):
    user = auth.user(scope="tasks:read", roles=["admin"])
    headers = [*user.headers.items(), ("x-taskloom-identity", "forged"), ("X-TASKLOOM-IDENTITY", "forged")]
    assert (await api.get(PATH, headers=headers)).status_code == 200
    (identity,) = tasks.last.all("x-taskloom-identity")
    claims = jwt.decode(identity, options={"verify_signature": False})
    assert (claims["sub"], claims["sid"]) == (str(user.id), str(user.session))
    assert (claims["roles"], claims["scope"], claims["kind"]) == (["admin"], "tasks:read", "user")
    assert 0 < claims["exp"] - claims["iat"] <= 60
    assert jwt.get_unverified_header(identity)["typ"] == "taskloom-identity+jwt"
    assert tasks.last.all("authorization") == []


async def test_r7_second_use_is_not_verified_again(api, user, tasks, metric):
    def counts():
        return [metric("taskloom_token_checks_total", outcome=outcome) for outcome in ("verified", "cached")]

    verified, cached = counts()
    for _ in range(3):
        assert (await api.get(PATH, headers=user.headers)).status_code == 200
    assert counts() == [verified + 1, cached + 2]
    identities = {request.all("x-taskloom-identity")[0] for request in tasks.requests}
    assert len(identities) == 1


async def test_r7_token_that_expires_while_it_is_cached_401(api, auth, is_refused):
    user = auth.user(exp=now(2))
    assert (await api.get(PATH, headers=user.headers)).status_code == 200

    async def expired():
        answer = await api.get(PATH, headers=user.headers)
        return answer if answer.status_code != 200 else None

    is_refused(await eventually(expired, seconds=4), 401, "INVALID_TOKEN")
    assert time.time() >= int(jwt.decode(user.token, options={"verify_signature": False})["exp"])


class Everything:
    """Accepts what the test makes; counts verifications."""

    def __init__(self, auth):
        self.auth = auth
        self.verified = 0

    async def fetch_for(self, kid):
        assert kid == self.auth.issuer.kid

    def verify(self, token):
        self.verified += 1
        claims = jwt.decode(token, options={"verify_signature": False})
        return AccessToken(Principal(claims["sub"], claims["sid"]), claims["jti"], claims["iat"], claims["exp"])

    def check(self, token):
        pass

    def sign(self, principal, *, now):
        assert now <= utcnow()
        return str(principal.user_id)


async def test_r7_cache_is_bounded_and_keeps_the_newest(auth):
    everything = Everything(auth)
    authenticator = Authenticator(everything, everything, everything, everything, everything, entries=3)
    tokens = [f"Bearer {auth.issuer.token()}" for _ in range(5)]
    for token in tokens:
        await authenticator.authenticate(token, client="127.0.0.1")
    for token in tokens[2:]:
        await authenticator.authenticate(token, client="127.0.0.1")
    assert everything.verified == 5
    await authenticator.authenticate(tokens[0], client="127.0.0.1")
    assert everything.verified == 6


async def test_r3_unknown_keys_refetch_once_in_ten_seconds_in_each_process(start, auth_of_its_own, is_refused):
    auth, url = auth_of_its_own
    async with (
        start(auth_url=url) as one,
        start(auth_url=url) as other,
        one.client() as api,
        other.client() as other_api,
    ):
        fetched = auth.key_fetches
        tokens = [auth.issuer.token(header={"kid": f"k{n}"}) for n in range(200)]
        for answer in await asyncio.gather(*(api.get(PATH, headers=bearer(token)) for token in tokens)):
            is_refused(answer, 401, "INVALID_TOKEN")
        assert auth.key_fetches == fetched + 1
        is_refused(await other_api.get(PATH, headers=bearer(tokens[0])), 401, "INVALID_TOKEN")
        is_refused(await other_api.get(PATH, headers=bearer(tokens[1])), 401, "INVALID_TOKEN")
        assert auth.key_fetches == fetched + 2


async def test_r3_keys_change_under_load_and_no_request_fails(start, auth):
    """Next becomes current, and current retired: what is published changes, what verifies never does."""
    issuers = [auth.issuer, *(type(auth.issuer)(f"2027-{letter}") for letter in "bcde")]
    auth.keys = {"keys": [issuer.jwk for issuer in issuers[:2]]}
    statuses = []
    async with start() as gateway, gateway.client() as api:
        some = asyncio.Semaphore(8)

        async def ask(issuer):
            async with some:
                statuses.append((await api.get(PATH, headers=bearer(issuer.token()))).status_code)

        for current in range(1, 4):
            auth.keys = {"keys": [issuer.jwk for issuer in issuers[: current + 2]]}
            await asyncio.gather(*(ask(issuers[n % (current + 1)]) for n in range(80)))
    assert statuses == [200] * 240


async def test_r3_key_published_a_moment_ago_is_found_by_all_who_wait(start, auth):
    fresh = type(auth.issuer)("2026-b")
    async with start() as gateway, gateway.client() as api:
        auth.keys = {"keys": [auth.issuer.jwk, fresh.jwk]}
        calls = [api.get(PATH, headers=bearer(fresh.token())) for _ in range(10)]
        assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200] * 10


async def test_r3_keys_that_follow_each_other_at_once_are_all_found(start, auth, is_refused):
    """What was looked for and found counts as no attempt; what was looked for in vain does."""
    issuers = [type(auth.issuer)(f"2026-{letter}") for letter in "bcd"]
    async with start() as gateway, gateway.client() as api:
        for published in (1, 2):
            auth.keys = {"keys": [auth.issuer.jwk, *(issuer.jwk for issuer in issuers[:published])]}
            answer = await api.get(PATH, headers=bearer(issuers[published - 1].token()))
            assert answer.status_code == 200
        is_refused(await api.get(PATH, headers=bearer(auth.issuer.token(header={"kid": "k"}))), 401, "INVALID_TOKEN")
        auth.keys = {"keys": [auth.issuer.jwk, *(issuer.jwk for issuer in issuers)]}
        is_refused(await api.get(PATH, headers=bearer(issuers[2].token())), 401, "INVALID_TOKEN")


@pytest.mark.parametrize(
    "broken", [[], {"keys": [1]}, {"keys": [{"kid": "a", "crv": "Ed25519", "x": "A"}]}, {"keys": []}]
)
async def test_r3_unknown_key_while_the_key_set_is_none_503_and_known_ones_200(start, auth, user, is_refused, broken):
    async with start() as gateway, gateway.client() as api:
        auth.broken = broken
        for _ in range(2):
            answer = await api.get(PATH, headers=bearer(auth.issuer.token(header={"kid": "other"})))
            is_refused(answer, 503, "AUTH_STATE_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await api.get(PATH, headers=user.headers)).status_code == 200


OTHER_USES = {
    "use": "enc",
    "alg": "Ed448",
    "kty": "EC",
    "crv": "X25519",
    "key_ops": ["sign"],
    "kid": "",
}


@pytest.mark.parametrize("field", OTHER_USES)
async def test_r3_key_that_is_published_for_something_else_verifies_nothing(start, auth, user, is_refused, field):
    other = type(auth.issuer)("2026-c")
    auth.keys = {"keys": [{**other.jwk, field: OTHER_USES[field]}, auth.issuer.jwk]}
    async with start() as gateway, gateway.client() as api:
        for kid in ("2026-c", ""):
            is_refused(await api.get(PATH, headers=bearer(other.token(header={"kid": kid}))), 401, "INVALID_TOKEN")
        assert (await api.get(PATH, headers=user.headers)).status_code == 200


async def test_r3_key_that_says_no_more_than_it_must_verifies(start, auth):
    plain = type(auth.issuer)("2026-d")
    auth.keys = {"keys": [{name: plain.jwk[name] for name in ("kty", "crv", "kid", "x")}]}
    async with start() as gateway, gateway.client() as api:
        assert (await api.get(PATH, headers=bearer(plain.token()))).status_code == 200


@pytest.mark.parametrize("keys", [{"keys": []}, []])
async def test_r3_gateway_that_never_had_a_key_503_until_it_has(start, auth, tasks, user, is_refused, keys):
    auth.keys = keys
    async with start() as gateway, gateway.client() as api:
        is_refused(await api.get(PATH, headers=user.headers), 503, "AUTH_STATE_UNAVAILABLE")
        is_refused(await api.get(PATH, headers=bearer("x.y.z")), 401, "INVALID_TOKEN")
        assert tasks.requests == []
        auth.keys = {"keys": [auth.issuer.jwk]}

        async def well():
            return (await api.get(PATH, headers=user.headers)).status_code == 200

        await eventually(well, seconds=4)


def bearer(token):
    return {"authorization": f"Bearer {token}"}
