"""What is written without models is what the models' own serializers write, byte by byte."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from asyncpg.pgproto import pgproto
from chassis.web.constructing import as_json
from chassis.web.replies import to_json
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel


class Part(BaseModel):
    at: datetime | None
    local: str | None


class Whole(BaseModel):
    id: UUID
    others: list[UUID]
    title: str
    part: Part | None
    day: date | None
    number: int | None
    takes: timedelta | None
    custom: dict[str, Any]
    at: datetime


# What a database keeps: no NaN, and no text with halves of characters.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
CUSTOM = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
IDS = st.uuids() | st.uuids().map(lambda one: pgproto.UUID(one.bytes))
MOMENTS = st.datetimes(timezones=st.just(UTC))
VALUES = st.fixed_dictionaries(
    {
        "id": IDS,
        "others": st.lists(IDS, max_size=2),
        "title": TEXTS,
        "part": st.none() | st.builds(Part.model_construct, at=st.none() | MOMENTS, local=st.none() | TEXTS),
        "day": st.none() | st.dates(),
        "takes": st.none() | st.timedeltas(),
        "number": st.none() | st.integers(-(2**31), 2**31),
        "custom": st.dictionaries(TEXTS, CUSTOM, max_size=4),
        "at": MOMENTS,
    }
)
PLAIN = {"id": UUID(int=7), "others": [], "title": "", "part": None, "day": None, "number": 0, "takes": None}
PLAIN |= {"custom": {}, "at": datetime(1, 1, 1, tzinfo=UTC)}


def same(given):
    values = [{name: one[name] for name in Whole.model_fields} for one in given]
    made = [Whole.model_construct(**one) for one in values]
    assert as_json(values) == to_json(made), values
    assert all(as_json(one) == to_json(model) for one, model in zip(values, made, strict=True))


@given(st.lists(VALUES, max_size=3))
@example([{**PLAIN, "custom": {"a": [1e21, -0.0, 1e16, 5e-324, 1.0, 123456789.123456789, 2**53 + 1]}}])
@example([{**PLAIN, "title": 'Ä\u2028\u007f\b\x1f"\\ </script>\U0001f95b'}])
def test_the_same_as_by_models(values):
    same(values)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400])
def test_whole_numbers_of_any_length(number):
    with pytest.raises(orjson.JSONEncodeError):
        orjson.dumps(number)
    same([{**PLAIN, "custom": {"a": [number]}, "part": Part(at=None, local="x"), "id": pgproto.UUID(bytes(16))}])
