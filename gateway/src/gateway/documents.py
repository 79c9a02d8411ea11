"""One OpenAPI document out of those of the services, and the catalogue of error codes."""

import asyncio
import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
from chassis.errors import AppError
from chassis.web.openapi import add_refusals

from gateway.errors import (
    AddressNotAllowed,
    AuthStateUnavailable,
    CostAboveLimit,
    InvalidToken,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.published import Document
from gateway.routes import ROUTES

STATUS_SECONDS = 1.0
OWN = "gateway"
COSTLY = frozenset(route.template for route in ROUTES if route.cost_by is not None)
COST = (
    "What the request takes of the limit: 1, and 1 more for each 25 that are begun of what is to be done, but no more "
    "than the limit of a whole minute. It is taken at once, before anything runs, or the request is refused with 429."
)
TITLE = "Taskloom"
DESCRIPTION = (
    "Task management as an API. Sign up with `POST /api/v1/auth/register`, log in with `POST /api/v1/auth/login`, "
    "and send the access token as `Authorization: Bearer <token>`.\n\n"
    "Every JSON answer has the same envelope: `success`, `data`, `message`, `errors`, `meta`. Clients branch on the "
    "status and on `errors[].code`; all codes are at `GET /api/v1/meta/errors`, with those of requests that reach no "
    "operation, such as a path that is not there, or header fields that are too large.\n\n"
    "What happens is told as events: by `GET /api/v1/changes`, over `/api/v1/ws` and `/api/v1/stream`, and to "
    "webhooks. All of them are at [/docs/events](/docs/events), as AsyncAPI at [/asyncapi.json](/asyncapi.json), and "
    "at `GET /api/v1/meta/events`."
)


def merge_documents(documents: Mapping[str, Document], *, server: str) -> Document:
    """Merge the documents of the services into the public one.

    Internal paths are left out, and what the gateway itself answers in place of an operation is added. Two different
    schemas of one name keep both: the second is renamed after its service, with its references. The examples of
    refusals, which are mostly the same everywhere, are kept once.
    """
    merged: Document = {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": "1", "description": DESCRIPTION},
        "servers": [{"url": server}],
        "paths": {},
        "components": {"schemas": {}, "securitySchemes": {}},
        "x-error-codes": [],
    }
    codes: dict[str, Any] = {}
    for service in sorted(documents):
        document = without_collisions(copy.deepcopy(documents[service]), merged["components"]["schemas"], service)
        public = {path: item for path, item in document["paths"].items() if not path.startswith("/internal")}
        for operation in (one for item in public.values() for one in item.values()):
            add_refusals(operation, *_refusals(operation, is_own=service == OWN))
        for operation in (item["post"] for path, item in public.items() if path in COSTLY):
            _tell_cost(operation)
        merged["paths"].update(public)
        for kind in ("schemas", "securitySchemes"):
            merged["components"][kind].update(document.get("components", {}).get(kind, {}))
        codes.update({entry["code"]: entry for entry in document.get("x-error-codes", [])})
    merged["paths"] = dict(sorted(merged["paths"].items()))
    merged["components"]["examples"] = _share_examples(merged["paths"])
    merged["x-error-codes"] = [codes[code] for code in sorted(codes)]
    return merged


def _tell_cost(operation: Document) -> None:
    """Add what the gateway says of a request that may cost more than one."""
    add_refusals(operation, CostAboveLimit)
    for response in operation["responses"].values():
        cost = {"X-RateLimit-Cost": {"description": COST, "schema": {"type": "integer"}}}
        response["headers"] = {**response.get("headers", {}), **cost}


def _refusals(operation: Document, *, is_own: bool) -> Iterator[type[AppError]]:
    """Yield what the gateway may answer itself to who asks for this operation."""
    if operation.get("security"):
        yield from (InvalidToken, AuthStateUnavailable)
    if operation.get("x-api-tokens", "none") != "none":
        yield AddressNotAllowed
    if not is_own:
        yield from (UpstreamUnavailable, UpstreamFailed, UpstreamTimeout)


def _share_examples(paths: Document) -> Document:
    """Put references in the place of the examples of refusals, and return what they refer to."""
    shared: Document = {}
    names: dict[str, str] = {}
    for code, examples in _examples_of_refusals(paths):
        text = json.dumps(examples[code], sort_keys=True)
        if text not in names:
            others = sum(name.partition(".")[0] == code for name in shared)
            names[text] = f"{code}.{others + 1}" if others else code
            shared[names[text]] = examples[code]
        examples[code] = {"$ref": f"#/components/examples/{names[text]}"}
    return shared


def _examples_of_refusals(paths: Document) -> Iterator[tuple[str, Document]]:
    """Yield each code with the examples that it stands in, in an order that is always the same."""
    for operation in (one for _, item in sorted(paths.items()) for _, one in sorted(item.items())):
        for status, response in sorted(operation["responses"].items()):
            examples = response.get("content", {}).get("application/json", {}).get("examples", {})
            yield from ((code, examples) for code in list(examples) if status >= "4")


def without_collisions(document: Document, taken: Mapping[str, Any], service: str) -> Document:
    """Rename schemas that mean something else than those of their names that are taken, with their references."""
    clashing = _clashing(document.get("components", {}).get("schemas", {}), taken)
    text = json.dumps(document)
    for name in clashing:
        text = text.replace(_reference(name), _reference(f"{service.title()}{name}"))
    renamed: Document = json.loads(text)
    for name in clashing:
        renamed["components"]["schemas"][f"{service.title()}{name}"] = renamed["components"]["schemas"].pop(name)
    return renamed


def _clashing(schemas: Document, taken: Mapping[str, Any]) -> list[str]:
    """Return which names mean something else there: by what they are, or by what they refer to."""
    common = [name for name in schemas if name in taken]
    clashing = [name for name in common if taken[name] != schemas[name]]
    # The list grows while it is walked: what refers to something else is something else.
    for other in clashing:
        referring = (name for name in common if _reference(other) in json.dumps(schemas[name]))
        clashing.extend(name for name in referring if name not in clashing)
    return clashing


def _reference(name: str) -> str:
    return f'"#/components/schemas/{name}"'


class Statuses:
    """How the services are; asked at most once a second, however many want to know."""

    def __init__(self, session: aiohttp.ClientSession, upstreams: Mapping[str, str]) -> None:
        self._session = session
        self._upstreams = upstreams
        self._known: dict[str, str] = {}
        self._ask_at = float("-inf")
        self._asking = asyncio.Lock()

    async def current(self) -> dict[str, str]:
        """Return `ok`, `unready` or `down` by service, of this second."""
        async with self._asking:
            if asyncio.get_running_loop().time() >= self._ask_at:
                answers = await asyncio.gather(*(_status(self._session, url) for url in self._upstreams.values()))
                self._known = dict(zip(self._upstreams, answers, strict=True))
                self._ask_at = asyncio.get_running_loop().time() + STATUS_SECONDS
        return self._known


async def _status(session: aiohttp.ClientSession, url: str) -> str:
    try:
        timeout = aiohttp.ClientTimeout(total=1)
        async with session.get(f"{url.rstrip('/')}/readyz", timeout=timeout, allow_redirects=False) as response:
            return "ok" if response.status == 200 else "unready"  # noqa: PLR2004 - ready or not
    except (aiohttp.ClientError, TimeoutError):
        return "down"
