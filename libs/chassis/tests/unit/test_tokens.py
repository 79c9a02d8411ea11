"""R1, R2, R21: a token is believed only when everything about it is as it should be."""

import base64
import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import jwt
import pytest
import time_machine
from chassis.clock import utcnow
from chassis.errors import Unauthenticated
from chassis.identity import Principal
from chassis.tokens import (
    ACCESS_TYPE,
    IDENTITY_AUDIENCE,
    IDENTITY_ISSUER,
    IDENTITY_TYPE,
    AccessTokenVerifier,
    IdentitySigner,
    IdentityVerifier,
    TokenError,
)
from chassis.web.identity import CACHE_ENTRIES, IdentityCache
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st
from testkit.identities import TestGateway

KEY, OTHER_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
USER, SESSION = UUID(int=1), UUID(int=2)
TOKEN_ID = str(UUID(int=3))
PRINCIPAL = Principal(USER, SESSION, frozenset({"user"}), frozenset({"tasks:read"}))
ISSUER, AUDIENCE, LIFETIME = "https://tasks.example", "taskloom", 86400
VERIFIER = AccessTokenVerifier(
    issuer=ISSUER, audience=AUDIENCE, max_lifetime=LIFETIME, key_of={"k1": KEY.public_key()}.get
)
HEADERS = {"typ": ACCESS_TYPE, "kid": "k1"}
IDENTITY_HEADERS = {"typ": IDENTITY_TYPE, "kid": "gateway"}
MISSING = "(missing)"


def now():
    return int(utcnow().timestamp())


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def signed(header, claims, key=KEY):
    """Sign whatever is given; PyJWT refuses to make some of the tokens that it has to refuse to read."""
    text = base64url(json.dumps(header).encode()) + b"." + base64url(json.dumps(claims).encode())
    return (text + b"." + base64url(key.sign(text))).decode()


def claims_with(**changed):
    issued = now()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(USER),
        "sid": str(SESSION),
        "jti": TOKEN_ID,
        "roles": ["user"],
        "scope": "tasks:read",
        "iat": issued,
        "nbf": issued,
        "exp": issued + LIFETIME,
        "ver": 1,
        **changed,
    }
    return {name: value for name, value in claims.items() if value != MISSING}


def access_token(*, key=KEY, headers=None, **changed):
    header = {"alg": "EdDSA", **HEADERS, **(headers or {})}
    return signed({name: value for name, value in header.items() if value != MISSING}, claims_with(**changed), key)


def public_pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def test_r1_a_token_of_ours_says_who_calls():
    token = VERIFIER.verify(access_token())
    assert token.principal == PRINCIPAL
    assert (token.token_id, token.expires_at - token.issued_at) == (TOKEN_ID, LIFETIME)


def test_r21_a_user_s_token_never_speaks_for_a_service():
    assert VERIFIER.verify(access_token(kind="service")).principal.kind == "user"


def test_r1_leeway_is_thirty_seconds():
    VERIFIER.verify(access_token(exp=now() - 25, iat=now() - 100, nbf=now() - 100))
    VERIFIER.verify(access_token(iat=now() + 25, nbf=now() + 25, exp=now() + 100))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": MISSING},
        {"iat": MISSING},
        {"sub": MISSING},
        {"jti": MISSING},
        {"sid": MISSING},
        {"iss": MISSING},
        {"aud": MISSING},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"aud": AUDIENCE + "x"},
        {"aud": [AUDIENCE]},
        {"aud": IDENTITY_AUDIENCE},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"exp": None},
        {"exp": 1e300},
        {"iat": "now"},
        {"sub": 7},
        {"sub": "ann"},
        {"sid": 7},
        {"sid": "session"},
        {"roles": 7},
        {"roles": [["admin"]]},
        {"jti": 7},
        {"jti": "token-1"},
        {"nbf": MISSING},
        {"ver": MISSING},
        {"ver": 2},
        {"ver": True},
        {"ver": 1.0},
        {"ver": "1"},
        {"nbf": True},
        {"nbf": "12"},
        {"nbf": -1},
        {"iat": True},
        {"sub": "{" + TOKEN_ID + "}"},
        {"sub": "urn:uuid:" + TOKEN_ID},
        {"sub": "\u0661" * 32},
        {"sid": TOKEN_ID.replace("-", "")},
        {"roles": "admin"},
        {"roles": {"admin": 1}},
        {"roles": None},
        {"roles": ["\ud800"]},
        {"scope": ["tasks:read"]},
        {"scope": 7},
    ],
    ids=repr,
)
def test_r2_claims_that_are_refused(claims):
    with pytest.raises(TokenError):
        VERIFIER.verify(access_token(**claims))


def test_r2_a_token_that_lives_too_long_or_begins_later_is_refused():
    for claims in ({"exp": now() + LIFETIME + 60}, {"nbf": now() + 60}, {"iat": now() + 60}, {"exp": now() - 31}):
        with pytest.raises(TokenError):
            VERIFIER.verify(access_token(**claims))


@pytest.mark.parametrize(
    "headers",
    [
        {"typ": "JWT"},
        {"typ": "AT+JWT"},
        {"typ": IDENTITY_TYPE},
        {"typ": None},
        {"kid": "unknown"},
        {"kid": None},
        {"kid": MISSING},
        {"alg": MISSING},
        {"crit": ["exp"]},
        {"jku": "https://evil.example/keys"},
        {"jwk": {"kty": "OKP"}},
        {"x5u": "https://evil.example/certificate"},
        {"x5c": ["MIIB"]},
    ],
    ids=repr,
)
def test_r2_header_fields_that_are_refused(headers):
    with pytest.raises(TokenError):
        VERIFIER.verify(access_token(headers=headers))


def test_r2_another_key_or_algorithm_is_refused():
    secret = "a secret that somebody made up, long enough"
    for token in (
        access_token(key=OTHER_KEY),
        jwt.encode(claims_with(), secret, "HS256", headers=HEADERS),
        jwt.encode(claims_with(), None, "none", headers=HEADERS),
        access_token(headers={"alg": "none"}),
        access_token(headers={"alg": "Ed25519"}),
        access_token()[:-4] + "AAAA",
    ):
        with pytest.raises(TokenError):
            VERIFIER.verify(token)


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-32-be"),
        lambda text: '{"alg":"none","sub":"x",' + text[1:],
        lambda text: text[:-1] + ',"jti":"x","typ":"JWT"}',
        lambda text: text[:-1] + ',"kid":NaN,"x":-Infinity}',
        lambda text: text + "{}",
    ],
    ids=["BOM", "UTF-16", "UTF-16LE", "UTF-32", "twice, first", "twice, last", "NaN", "two objects"],
)
def test_r2_json_that_two_readers_understand_differently_is_refused(rewrite, part):
    parts = [json.dumps({"alg": "EdDSA", **HEADERS}), json.dumps(claims_with())]
    VERIFIER.verify(signed_texts(*parts))
    parts[part] = rewrite(parts[part])
    with pytest.raises(TokenError):
        VERIFIER.verify(signed_texts(*parts))


def signed_texts(*parts):
    text = b".".join(base64url(part if isinstance(part, bytes) else part.encode()) for part in parts)
    return (text + b"." + base64url(KEY.sign(text))).decode()


@pytest.mark.parametrize("spell", [lambda t: t + "==", lambda t: t + "\n", lambda t: t.replace("_", "/") + "=="])
def test_r1_a_token_has_one_spelling(spell):
    with pytest.raises(TokenError):
        VERIFIER.verify(spell(access_token()))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "\ud800", "e30.e30.e30", "W10.e30.AAAA", "\0"])
def test_r2_what_is_no_token_is_refused(token):
    with pytest.raises(TokenError):
        VERIFIER.verify(token)


@given(text=st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"))
def test_r2_any_text_is_refused_and_nothing_else_is_raised(text):
    with pytest.raises(TokenError):
        VERIFIER.verify(text)


def test_r1_a_token_of_more_than_4_kib_is_refused_though_it_is_signed():
    with pytest.raises(TokenError, match="too long"):
        VERIFIER.verify(access_token(scope="x" * 4096))


GATEWAY = TestGateway()
IDENTITIES = IdentityVerifier(GATEWAY.verify_key)
SIGNER = IdentitySigner(GATEWAY.private_key)


def test_r21_the_gateways_identity_says_who_calls_for_sixty_seconds():
    verified = IDENTITIES.verify(SIGNER.sign(PRINCIPAL, now=utcnow()))
    assert verified.principal == PRINCIPAL
    assert verified.expires_at == pytest.approx(now() + 60, abs=2)


def test_r21_an_api_token_is_vouched_for_with_its_end():
    end = utcnow().replace(microsecond=0) + timedelta(days=1)
    caller = replace(PRINCIPAL, via="token", expires_at=end)
    assert IDENTITIES.verify(SIGNER.sign(caller, now=utcnow())).principal == caller


def test_r21_the_key_may_come_with_escaped_line_ends():
    assert IdentityVerifier(GATEWAY.verify_key.replace("\n", "\\n")).verify(SIGNER.sign(PRINCIPAL, now=utcnow()))


def test_r21_a_user_token_is_no_identity_and_an_identity_no_user_token():
    identities = IdentityVerifier(public_pem(KEY))
    claims = {"iss": IDENTITY_ISSUER, "aud": IDENTITY_AUDIENCE, "exp": now() + 60}
    assert identities.verify(access_token(headers=IDENTITY_HEADERS, **claims))
    for token in (access_token(), access_token(**claims), access_token(headers=IDENTITY_HEADERS)):
        with pytest.raises(TokenError):
            identities.verify(token)
    with pytest.raises(TokenError):
        VERIFIER.verify(SIGNER.sign(PRINCIPAL, now=utcnow()))


@pytest.mark.parametrize(
    "claims",
    [
        {"via": ["token"]},
        {"via": {}},
        {"via": 1},
        {"via": None},
        {"via": "root"},
        {"pr": "x"},
        {"ws": 7},
        {"end": "x"},
        {"end": 10**30},
    ],
)
def test_r21_an_identity_whose_bounds_are_not_understood_is_refused(claims):
    identities = IdentityVerifier(public_pem(KEY))
    given = {"iss": IDENTITY_ISSUER, "aud": IDENTITY_AUDIENCE, "exp": now() + 60, "via": "token", **claims}
    with pytest.raises(TokenError):
        identities.verify(access_token(headers=IDENTITY_HEADERS, **given))


def test_r21_an_identity_that_lives_longer_than_sixty_seconds_is_refused():
    verifier = IdentityVerifier(public_pem(KEY))
    claims = {"iss": IDENTITY_ISSUER, "aud": IDENTITY_AUDIENCE}
    verifier.verify(access_token(headers=IDENTITY_HEADERS, exp=now() + 60, **claims))
    with pytest.raises(TokenError, match="lives longer"):
        verifier.verify(access_token(headers=IDENTITY_HEADERS, exp=now() + 65, iat=now(), **claims))


def test_r21_a_key_of_another_kind_stops_the_start():
    with pytest.raises(ValueError, match="Ed25519"):
        IdentityVerifier(public_pem(generate_private_key(65537, 2048)))
    with pytest.raises(ValueError, match="PEM"):
        IdentityVerifier("nonsense")


class CountingVerifier(IdentityVerifier):
    """The real one, counting signatures."""

    checked = 0

    def verify(self, token):
        self.checked += 1
        return super().verify(token)


def test_r21_an_identity_is_verified_once_and_expires_in_the_cache_too():
    verifier = CountingVerifier(GATEWAY.verify_key)
    cache = IdentityCache(verifier)
    begin = utcnow()
    header = SIGNER.sign(PRINCIPAL, now=begin)
    for _ in range(3):
        assert cache.principal(header) == PRINCIPAL
    assert verifier.checked == 1
    with time_machine.travel(begin + timedelta(seconds=58), tick=False):
        assert cache.principal(header) == PRINCIPAL
    with time_machine.travel(begin + timedelta(seconds=61), tick=False):
        for _ in range(2):
            with pytest.raises(Unauthenticated):
                cache.principal(header)
    assert len(cache) == 0


def test_r21_what_is_refused_is_not_cached_and_the_cache_is_bounded():
    cache = IdentityCache(IDENTITIES)
    for header in (None, "", "nonsense"):
        with pytest.raises(Unauthenticated):
            cache.principal(header)
    assert len(cache) == 0
    small = IdentityCache(IDENTITIES, entries=3)
    for n in range(5):
        small.principal(SIGNER.sign(Principal(USER, UUID(int=n)), now=utcnow()))
    assert len(small) == 3
    assert CACHE_ENTRIES == 10_000


def test_r1_the_claims_of_an_identity_are_those_of_the_rule():
    claims = jwt.decode(SIGNER.sign(PRINCIPAL, now=utcnow()), options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "roles", "scope", "kind", "iat", "exp"}
    assert json.dumps(claims["roles"]) == '["user"]'
