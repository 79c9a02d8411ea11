"""What the hostile tokens are made of: the RFCs' examples as they are printed, and a maker whose good token is good."""

import base64
import hmac

import pytest
from chassis.tokens import AccessTokenVerifier, TokenError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from testkit.hostile.encodings import A_1, A_3, EXAMPLES, RFC_8037_A_4
from testkit.hostile.fields import BODY, GOOD, credential, sized
from testkit.hostile.forger import Forger
from testkit.hostile.signatures import EC_D, HMAC_KEY
from testkit.hostile.vectors import values


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token):
    content, _, signature = token.rpartition(".")
    return content.encode(), decoded(signature)


@pytest.fixture
def forger():
    key = Ed25519PrivateKey.generate()
    names = ("kid", "typ", "issuer", "audience", "other_typ", "other_issuer", "other_audience")
    given = {**{name: f"a-{name}" for name in names}, "typ": "at+jwt"}
    return Forger(key=key, lifetime=60, identity="i.i.i", **given)


def test_examples_with_a_secret_of_a_1_are_signed_with_it():
    for token in (A_1, EXAMPLES["RFC 7797 4.1 a payload of $.02"]):
        content, signature = parts(token)
        assert hmac.digest(decoded(HMAC_KEY), content, "sha256") == signature
    content, signature = parts(EXAMPLES["RFC 7797 4.2 b64 false, detached"])
    assert hmac.digest(decoded(HMAC_KEY), content + b"$.02", "sha256") == signature


def test_example_a_3_is_signed_with_its_key():
    content, signature = parts(A_3)
    key = ec.derive_private_key(int.from_bytes(decoded(EC_D), "big"), ec.SECP256R1()).public_key()
    halves = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(utils.encode_dss_signature(*halves), content, ec.ECDSA(hashes.SHA256()))


def test_example_of_rfc_8037_is_signed_with_its_key():
    content, signature = parts(RFC_8037_A_4)
    key = Ed25519PublicKey.from_public_bytes(decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))
    key.verify(signature, content)


def test_the_good_token_is_good_and_the_same_every_time(forger):
    verifier = AccessTokenVerifier(
        issuer="a-issuer",
        audience="a-audience",
        max_lifetime=60,
        key_of={"a-kid": forger.key.public_key()}.get,
    )
    assert verifier.verify(forger.token()).principal.roles == {"user"}
    assert forger.token() == forger.token() == forger.respelt(*forger.parts()[:2])
    for size in range(900, 904):
        assert len(sized(forger, size)) == size
        assert verifier.verify(sized(forger, size))
    with pytest.raises(TokenError, match="too long"):
        verifier.verify(sized(forger, 4097))


def test_no_look_alike_of_an_api_token_is_one(forger):
    assert credential("tlm_pat_", BODY) == GOOD
    assert len(BODY) == 32
    assert len(GOOD) == 46
    assert b"Bearer " + GOOD.encode() not in values(forger).values()
