"""One-time and recovery codes (R13), without any I/O."""

import base64
from datetime import UTC, datetime

import pyotp
import pytest
from auth_service.second_factors.rules import (
    is_totp,
    new_recovery_codes,
    new_seed,
    otpauth_uri,
    recovery_digest,
    step_of,
    tidy,
)
from chassis.clock import utcnow

RFC_SEED = base64.b32encode(b"12345678901234567890").decode()
# RFC 6238, appendix B, of which our codes are the last six digits.
VECTORS = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"}


@pytest.mark.parametrize("second", VECTORS)
def test_r13_codes_are_those_of_rfc_6238(second):
    now = datetime.fromtimestamp(second, UTC)
    assert step_of(RFC_SEED, VECTORS[second], now=now) == second // 30


@pytest.mark.parametrize(("offset", "found"), [(-2, None), (-1, 99), (0, 100), (1, 101), (2, None)])
@pytest.mark.parametrize("within", [0, 29])
def test_r13_one_step_before_and_after_is_taken(offset, found, within):
    code = pyotp.TOTP(RFC_SEED).generate_otp(100 + offset)
    assert step_of(RFC_SEED, code, now=datetime.fromtimestamp(3000 + within, UTC)) == found


def test_r13_ten_recovery_codes_of_at_least_112_bits_however_they_are_written():
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    for code in codes:
        bare = code.replace("-", "")
        assert len(bare) * 5 == 120
        assert [len(group) for group in code.split("-")] == [4] * 6
        forms = {code, bare, code.lower(), f" {code.replace('-', ' ')} ", bare.lower()}
        assert len({recovery_digest(form) for form in forms}) == 1
        assert recovery_digest(code) is not None


@pytest.mark.parametrize("text", ["", "123456", "A" * 23, "A" * 25, "1" * 24, "Ä" * 24, "A" * 23 + "\n"])
def test_what_can_be_no_recovery_code(text):
    assert recovery_digest(text) is None


@pytest.mark.parametrize(
    ("text", "fits"), [("123 456", True), ("123-456", True), ("12345", False), ("\uff11" * 6, False)]
)
def test_the_form_of_a_one_time_code(text, fits):
    assert is_totp(tidy(text)) is fits


def test_a_seed_has_160_bits_and_its_uri_says_what_it_is():
    seed = new_seed()
    assert len(base64.b32decode(seed)) == 20
    parsed = pyotp.parse_uri(otpauth_uri(seed, owner="ada@example.com"))
    assert (parsed.secret, parsed.issuer, parsed.name) == (seed, "Taskloom", "ada@example.com")
    assert (parsed.digits, parsed.interval, parsed.digest().name) == (6, 30, "sha1")
    now = utcnow()
    assert step_of(seed, parsed.at(now), now=now) == int(now.timestamp()) // 30
