"""R43: a sealed value opens in its own place, with a key of the ring, unchanged; else it is a SealError."""

import base64

import pytest
from chassis.sealing import KeyRing, SealError
from hypothesis import given
from hypothesis import strategies as st

OLD, NEW = b"o" * 32, b"n" * 32
RING = KeyRing({"old": OLD})
PLACE = "user|totp_seed|7"
SEALED = RING.seal(b"seed", place=PLACE)


@given(plain=st.binary(), place=st.text(st.characters(exclude_categories=["Cs"])))
def test_r43_what_was_sealed_opens_in_its_place(plain, place):
    assert RING.open(RING.seal(plain, place=place), place=place) == plain


def test_r43_a_value_has_version_key_and_a_nonce_of_its_own():
    again = RING.seal(b"seed", place=PLACE)
    assert SEALED.split(".")[:2] == again.split(".")[:2] == ["v1", "old"]
    assert again != SEALED


@pytest.mark.parametrize("place", ["", "user|totp_seed|8", "user|totp_seed|77", "webhook|secret|7"])
def test_r43_another_place_is_refused(place):
    with pytest.raises(SealError):
        RING.open(SEALED, place=place)


def test_r43_every_flipped_bit_is_noticed():
    raw = base64.urlsafe_b64decode(SEALED.split(".")[2])
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            RING.open("v1.old." + base64.urlsafe_b64encode(bytes(changed)).decode(), place=PLACE)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "v1",
        "v1.old",
        "v1.old.",
        "v1.old.!!!",
        "v1.old.abc",
        "v1.old.AAAA",
        "v1.old.AAAAAAAAAAAAAAAA",
        "v1.old.grüße",
    ],
)
def test_r43_malformed_text_is_a_seal_error(value):
    with pytest.raises(SealError):
        RING.open(value, place=PLACE)


@pytest.mark.parametrize(
    "change",
    [
        lambda sealed: sealed.replace("v1.old", "v1.new"),
        lambda sealed: sealed.replace("v1.old", "v2.old"),
        lambda sealed: sealed + "!!",
        lambda sealed: sealed + "\n",
        lambda sealed: sealed[:12] + "\n" + sealed[12:],
        lambda sealed: f"{sealed}.{sealed}",
    ],
    ids=["unknown key", "unknown version", "junk at the end", "line end at the end", "line end within", "twice"],
)
def test_r43_changed_text_is_a_seal_error(change):
    with pytest.raises(SealError):
        RING.open(change(SEALED), place=PLACE)


@given(rest=st.text())
def test_r43_any_text_is_a_seal_error(rest):
    with pytest.raises(SealError):
        RING.open(f"v1.old.{rest}", place=PLACE)


def test_r43_a_new_key_seals_and_the_old_one_still_opens():
    ring = KeyRing({"new": NEW, "old": OLD})
    assert ring.open(SEALED, place=PLACE) == b"seed"
    assert ring.seal(b"seed", place=PLACE).startswith("v1.new.")
    with pytest.raises(SealError, match="key that is not in the ring"):
        KeyRing({"new": NEW}).open(SEALED, place=PLACE)


def test_r43_a_ring_is_read_newest_first():
    old, new = base64.b64encode(OLD).decode(), base64.b64encode(NEW).decode()
    ring = KeyRing.parse(f"new:{new}, old:{old}")
    assert ring.seal(b"", place="").startswith("v1.new.")
    assert ring.open(SEALED, place=PLACE) == b"seed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "new",
        ":" + base64.b64encode(NEW).decode(),
        "new:short",
        "new:" + base64.b64encode(b"n" * 31).decode(),
        "new:ключ",
        "a.b:" + base64.b64encode(NEW).decode(),
        "a:" + base64.b64encode(NEW).decode() + ",a:" + base64.b64encode(OLD).decode(),
        "a:" + base64.b64encode(NEW).decode() + ",",
    ],
)
def test_r43_a_ring_that_is_not_one_is_refused_without_showing_it(text):
    with pytest.raises(ValueError, match=r"key ring needs|expected kid:base64\(32 bytes\)") as caught:
        KeyRing.parse(text)
    assert base64.b64encode(NEW).decode() not in str(caught.value)


def test_keys_for_other_purposes_differ_by_key_and_purpose_and_stay_the_same():
    ring = KeyRing({"new": NEW, "old": OLD})
    peppers = ring.derived("pepper")
    assert list(peppers) == ["new", "old"]
    assert peppers == KeyRing({"new": NEW, "old": OLD}).derived("pepper")
    assert peppers["old"] == RING.derived("pepper")["old"]
    distinct = {*peppers.values(), *ring.derived("salt").values(), NEW, OLD}
    assert (len(distinct), {len(key) for key in distinct}) == (6, {32})
