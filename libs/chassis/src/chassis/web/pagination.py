"""Lists, a page at a time: by page number with a total, or by cursor without one."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel

from chassis.errors import InvalidInput
from chassis.paging import DEFAULT_PER_PAGE, MAX_CURSOR, MAX_OFFSET, MAX_PER_PAGE, Paging, page_meta
from chassis.web.constructing import WrittenJson
from chassis.web.replies import reply


class PageTooDeep(InvalidInput):
    code = "PAGE_TOO_DEEP"
    message = "Pages end after 10,000 entries: walk on with `cursor` from meta.next_cursor."


class PageAndCursor(InvalidInput):
    code = "PAGE_AND_CURSOR"
    message = "Give either `page` or `cursor`, not both."


PageNumber = Annotated[int, Query(ge=1, le=MAX_OFFSET, description="Page number, from 1.")]
# A description does not survive `PageNumber | None`.
PageNumberOrNone = Annotated[
    int | None, Query(ge=1, le=MAX_OFFSET, description="Page number, from 1; not together with `cursor`.")
]
PerPage = Annotated[int, Query(ge=1, le=MAX_PER_PAGE, description="How many entries a page has.")]
WALK = "Walk by cursor: empty for the first part, then `meta.next_cursor` until `has_more` is false."
Cursor = Annotated[str, Query(max_length=MAX_CURSOR, description=WALK)]
CursorOrNone = Annotated[str | None, Query(max_length=MAX_CURSOR, description=WALK)]


async def pages(page: PageNumber = 1, per_page: PerPage = DEFAULT_PER_PAGE) -> Paging:
    """Read `page` and `per_page`. Raises PageTooDeep."""
    if page * per_page > MAX_OFFSET:
        raise PageTooDeep(field="page")
    return Paging(page, per_page, None)


async def pages_or_cursor(
    page: PageNumberOrNone = None, per_page: PerPage = DEFAULT_PER_PAGE, cursor: CursorOrNone = None
) -> Paging:
    """Read `page`, `per_page` and `cursor`. Raises PageAndCursor and PageTooDeep."""
    if cursor is None:
        return await pages(page or 1, per_page)
    if page is not None:
        raise PageAndCursor(field="page")
    return Paging(1, per_page, cursor)


async def cursor_paging(per_page: PerPage = DEFAULT_PER_PAGE, cursor: Cursor = "") -> Paging:
    """Read how a list is walked that only grows: by cursor."""
    return Paging(1, per_page, cursor)


PagesQuery = Annotated[Paging, Depends(pages)]
"""A list that is read by page number."""

PagingQuery = Annotated[Paging, Depends(pages_or_cursor)]
"""A list that is read by page number or by cursor."""

CursorPaging = Annotated[Paging, Depends(cursor_paging)]
"""A list that is read by cursor alone."""


def page_reply(request: Request, entries: Sequence[BaseModel], paging: Paging, total: int) -> Response:
    """Answer with a page of a list, of whose entries there are `total`."""
    return reply(entries, meta=page_meta(paging, total), headers=page_links(request, paging, total))


def paged_reply(
    request: Request, entries: Sequence[BaseModel] | WrittenJson, paging: Paging, meta: dict[str, Any]
) -> Response:
    """Answer with a part of a list that is read by page number or by cursor; `meta` says which part it is."""
    links = page_links(request, paging, meta["total"]) if paging.cursor is None else cursor_links(request, meta)
    return reply(entries, meta=meta, headers=links)


def page_links(request: Request, wanted: Paging, total: int) -> dict[str, str]:
    """Return the Link header of page mode (RFC 8288), relative to the server."""
    last = max(1, -(-total // wanted.per_page))
    targets = {"first": 1, "last": last}
    if wanted.page > 1:
        targets["prev"] = min(wanted.page - 1, last)
    if wanted.page < last:
        targets["next"] = wanted.page + 1
    return link_header(request, {relation: {"page": str(page)} for relation, page in targets.items()})


def cursor_links(request: Request, meta: Mapping[str, Any]) -> dict[str, str]:
    """Return the Link header of cursor mode from its `meta`."""
    names = {"next": meta.get("next_cursor"), "prev": meta.get("prev_cursor")}
    return link_header(request, {relation: {"cursor": cursor} for relation, cursor in names.items() if cursor})


def link_header(request: Request, relations: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return a Link header: the request's own query with some parameters replaced, the same ones in each relation."""
    if not relations:
        return {}
    replaced = frozenset(name for changed in relations.values() for name in changed)
    kept = _without(request.scope["query_string"], replaced)
    start = f"<{request.scope['path']}?{kept}{'&' if kept else ''}"
    return {"link": ", ".join(f'{start}{urlencode(changed)}>; rel="{name}"' for name, changed in relations.items())}


@lru_cache(maxsize=256)
def _without(query: bytes, names: frozenset[str]) -> str:
    """Return a query without some parameters; lists are asked for in the same words again and again."""
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([(name, value) for name, value in given if name not in names])
