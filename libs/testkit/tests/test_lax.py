from datetime import date, datetime
from typing import Annotated, Any, Literal

import pytest
from chassis.dates import Day, Instant
from chassis.web.flags import Flag
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt
from testkit.lax import lax_inputs


class Inner(BaseModel):
    count: int


class Lax(BaseModel):
    count: int = 0
    share: float | None = None
    flag: Annotated[bool, Field(description="x")] = False
    counts: list[int] = []
    by_name: dict[str, bool] = {}
    inners: list[Inner] = []
    day: date | None = None
    at: datetime | None = None


class Strict(BaseModel):
    count: StrictInt = 0
    share: StrictFloat | None = None
    flag: StrictBool = False
    counts: list[StrictInt] = []
    named: Literal[1, 2] = 1
    day: Day | None = None
    at: Instant | None = None
    custom: dict[str, Any] = {}
    text: str = ""


LAX = ["count", "share", "flag", "counts", "by_name", "inners.count", "day", "at"]


@pytest.mark.parametrize(("model", "fields"), [(Lax, LAX), (Strict, [])])
def test_every_lax_field_of_a_body_is_found(model, fields):
    router = APIRouter()

    @router.post("/x")
    async def make(body: model) -> None: ...

    assert lax_inputs((router,)) == [f"make: {one}" for one in fields]


def test_every_lax_flag_of_a_query_is_found():
    def narrowed(deep: bool = False, free: str | None = None) -> None: ...  # noqa: FBT001, FBT002 - as FastAPI reads it

    router = APIRouter()

    @router.get("/x")
    async def read(
        _: Annotated[None, Depends(narrowed)],
        lax: Annotated[bool | None, Query()] = None,
        strict: Annotated[Flag | None, Query()] = None,
        page: Annotated[int, Query()] = 1,
    ) -> None: ...

    assert sorted(lax_inputs((router,))) == ["read: ?deep", "read: ?lax"]
