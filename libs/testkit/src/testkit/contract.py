"""An HTTP client that holds every answer against the OpenAPI document, and a guard that no operation is forgotten.

A service's `tests/conftest.py` opts in with one line:

    @pytest.fixture(scope="session")
    def contract() -> Contract:
        return Contract(openapi_document(), tests=Path(__file__).parent)

and makes its clients with `contract_client(contract, …)`. Every answer is checked; and a run of all the tests in that
folder, on however many workers, fails when one of the document's operations was never exercised there
(testkit.operations). Without `tests` only the answers are checked.
"""

import json
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import httpx2
from chassis.errors import error_classes
from chassis.web.validation import FIELD_CODES
from jsonschema import Draft202012Validator

from testkit.explained import examples_of

BODILESS = frozenset({204, 304})
NO_SUCH_OPERATION = frozenset({404, 405})
JSON = "application/json"


class ContractViolation(AssertionError):
    """An answer that the document does not allow."""


class Contract:
    """A document with a count of the operations that were exercised."""

    guarded: list["Contract"] = []  # noqa: RUF012 - all of this process, for the guard at the end of the run

    def __init__(
        self, document: dict[str, Any], *, tests: Path | None = None, also: Collection[str] = frozenset()
    ) -> None:
        """`also` are names of what else the tests have to exercise, such as events: who sees one counts it."""
        self._document = document
        self._components: dict[str, Any] = document.get("components", {})
        self._whole = {**self._components, "schemas": _whole(self._components.get("schemas", {}))}
        self._validators: dict[tuple[int, bool], Draft202012Validator] = {}
        self._also = frozenset(also)
        self._paths = [
            (re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path))), item)
            for path, item in sorted(document["paths"].items(), key=lambda entry: entry[0].count("{"))
        ]
        self._prefixes = {_first_segment(path) for path in document["paths"]}
        self.exercised: Counter[str] = Counter()
        self.tests = tests
        if tests is not None:
            self.guarded.append(self)

    @property
    def operations(self) -> set[str]:
        """Return what has to be exercised: all operations of the document, and what else was named."""
        named = {one["operationId"] for item in self._document["paths"].values() for one in item.values()}
        return named | self._also

    def check(self, response: httpx2.Response) -> None:
        """Raise ContractViolation unless status, headers, content type and body are as the document says."""
        request = response.request
        name = f"{request.method} {request.url.path}"
        found = self._find(request.method, request.url.path)
        if found is None:
            self._check_undocumented(name, response)
            return
        self.exercised[found["operationId"]] += 1
        declared = found["responses"].get(str(response.status_code))
        if declared is None:
            raise ContractViolation(f"{name}: status {response.status_code} is not documented: {response.text[:300]}")
        _check_headers(f"{name} {response.status_code}", response, declared)
        if request.method != "HEAD":
            self._check_body(f"{name} {response.status_code}", response, declared.get("content", {}))

    def _check_undocumented(self, name: str, response: httpx2.Response) -> None:
        """Pass over what is not the document's; below its own prefixes there is nothing but its operations."""
        own = _first_segment(response.request.url.path) in self._prefixes
        # A preflight asks the browser's question about another method; it is no operation.
        if own and response.request.method != "OPTIONS" and response.status_code not in NO_SUCH_OPERATION:
            raise ContractViolation(f"{name}: answered {response.status_code}, and is not documented")

    def _check_body(self, name: str, response: httpx2.Response, content: dict[str, Any]) -> None:
        if response.status_code in BODILESS or not content:
            if response.content:
                raise ContractViolation(f"{name}: has a body, and none is documented")
            return
        media_type = _media_type(response)
        declared = _of_media_type(media_type, content)
        if declared is None:
            raise ContractViolation(f"{name}: content type {media_type!r} is not documented, but {sorted(content)}")
        if media_type == JSON:
            self._check_json(name, response, declared.get("schema"))
        if media_type == JSON and response.is_error:
            _check_refusal(name, response, examples_of(self._document, declared))

    def _check_json(self, name: str, response: httpx2.Response, schema: dict[str, Any] | None) -> None:
        if schema is None:
            raise ContractViolation(f"{name}: has a JSON body, and no schema is documented")
        validator = self._validator(schema, in_parts=_chooses_fields(response.request))
        errors = list(validator.iter_errors(json.loads(response.content)))
        if errors:
            raise ContractViolation(f"{name}: {errors[0].json_path}: {errors[0].message[:300]}")

    def _validator(self, schema: dict[str, Any], *, in_parts: bool) -> Draft202012Validator:
        """Return what checks a schema of the document; to make one means to walk through all of that."""
        key = (id(schema), in_parts)
        if key not in self._validators:
            rooted = {**schema, "components": self._components if in_parts else self._whole}
            made = Draft202012Validator(rooted, format_checker=Draft202012Validator.FORMAT_CHECKER)
            self._validators[key] = made
        return self._validators[key]

    def _find(self, method: str, path: str) -> dict[str, Any] | None:
        wanted = "get" if method == "HEAD" else method.lower()
        if (fixed := self._document["paths"].get(path)) is not None:
            # What is called so is nothing else, also by a method that there is not.
            return cast("dict[str, Any] | None", fixed.get(wanted))
        for pattern, item in self._paths:
            if pattern.fullmatch(path) and wanted in item:
                operation: dict[str, Any] = item[wanted]
                return operation
        return None


PATIENCE_SECONDS = 60.0
"""How long a test's client waits for an answer: longer than a busy machine stands still."""


def contract_client(contract: Contract, *, timeout: float = PATIENCE_SECONDS, **options: Any) -> httpx2.AsyncClient:
    """Return a client whose every answer is checked; `timeout` is in seconds."""

    async def check(response: httpx2.Response) -> None:
        await response.aread()
        contract.check(response)

    return httpx2.AsyncClient(event_hooks={"response": [check]}, timeout=timeout, **options)


def _whole(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas as they are where nobody has chosen fields."""
    return {
        name: {**one, "required": one["x-required-without-fields"]} if "x-required-without-fields" in one else one
        for name, one in schemas.items()
    }


def _chooses_fields(request: httpx2.Request) -> bool:
    """Tell whether a request asks for a part of what is shown, by its query or its body."""
    if "fields" in request.url.params:
        return True
    if request.method != "POST" or not request.headers.get("content-type", "").startswith(JSON):
        return False
    try:
        body = json.loads(request.content)
    except (ValueError, RecursionError, httpx2.RequestNotRead):
        return False
    return isinstance(body, dict) and bool(body.get("fields"))


def _check_headers(name: str, response: httpx2.Response, declared: dict[str, Any]) -> None:
    """Raise ContractViolation for a header that is documented and missing; they are those of the JSON answer."""
    media_type = _media_type(response)
    if declared.get("content") and media_type != JSON:
        return
    missing = [header for header in declared.get("headers", {}) if header not in response.headers]
    if missing:
        raise ContractViolation(f"{name}: has no {', '.join(missing)}")


def _media_type(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _first_segment(path: str) -> str:
    return "/" + path.split("/")[1]


def _check_refusal(name: str, response: httpx2.Response, examples: dict[str, Any]) -> None:
    """Raise ContractViolation for a refusal whose code, or data, is not shown by an example of the operation.

    What is wrong with single fields has codes of its own, for which VALIDATION_FAILED stands.
    """
    refusal = json.loads(response.content)
    codes = {entry["code"] for entry in refusal["errors"]}
    if hidden := (codes & {one.code for one in error_classes()}) - FIELD_CODES.keys() - examples.keys():
        raise ContractViolation(f"{name}: no example of {sorted(hidden)} is documented")
    shown = [_fields(examples[code]["data"]) for code in codes & examples.keys()]
    if refusal["data"] is not None and not any(_fields(refusal["data"]) <= fields for fields in shown):
        raise ContractViolation(f"{name}: the data of {sorted(codes)} is not what the example shows")


def _fields(data: Any) -> set[str]:
    """Return the names of the fields of an object, or of the objects of a list."""
    return {name for one in (data if isinstance(data, list) else [data or {}]) for name in one}


def _of_media_type(media_type: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """Return the declaration of a media type: its own, or that of a range such as `image/*` (OpenAPI 3.1, 4.8.14.1)."""
    for declared in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if declared in content:
            found: dict[str, Any] = content[declared]
            return found
    return None
