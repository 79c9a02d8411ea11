"""Many values as one parameter, so that a statement is the same however many they are, and can be prepared."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import BigInteger, BindParameter, Column, FromClause, bindparam, column, func, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID


def uuids(ids: Iterable[UUID | None]) -> BindParameter[Any]:
    """Bind ids as one array."""
    return literal(list(ids), ARRAY(PG_UUID(as_uuid=True)))


def numbers(values: Iterable[int]) -> BindParameter[Any]:
    """Bind whole numbers as one array."""
    return literal(list(values), ARRAY(BigInteger))


def given_uuids(name: str) -> BindParameter[Any]:
    """Stand for ids that a statement is given under a name as one array, so that it can be made once."""
    return bindparam(name, type_=ARRAY(PG_UUID(as_uuid=True)))


def given_numbers(name: str) -> BindParameter[Any]:
    """Stand for whole numbers that a statement is given under a name as one array."""
    return bindparam(name, type_=ARRAY(BigInteger))


def rows_of(name: str, **arrays: BindParameter[Any]) -> FromClause:
    """Return arrays of one length as a table of that name, whose columns they are.

    asked = rows_of("asked", workspace_id=uuids(workspaces), seq=numbers(seqs))
    """
    columns = [column(key, cast("ARRAY[Any]", array.type).item_type) for key, array in arrays.items()]
    return cast("FromClause", func.unnest(*arrays.values()).table_valued(*columns, name=name).render_derived())


def rows_for(name: str, columns: Iterable[Column[Any]], rows: Sequence[Mapping[str, Any]]) -> FromClause:
    """Return rows as a table of that name, with the values that they have for columns of a real one."""
    arrays = {one.name: literal([row[one.name] for row in rows], ARRAY(one.type)) for one in columns}
    return rows_of(name, **arrays)
