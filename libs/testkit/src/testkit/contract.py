"""An HTTP client that holds every answer against the OpenAPI document."""

import json
import re
from collections import Counter
from typing import Any

import httpx2
from jsonschema import Draft202012Validator

BODILESS = frozenset({204, 304})


class ContractViolation(AssertionError):
    """An answer that the document does not allow."""


class Contract:
    """A document with a count of the operations that were exercised."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._paths = [
            (re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"), path, item)
            for path, item in sorted(document["paths"].items(), key=lambda entry: entry[0].count("{"))
        ]
        self.exercised: Counter[str] = Counter()

    @property
    def operations(self) -> set[str]:
        return {operation["operationId"] for item in self._document["paths"].values() for operation in item.values()}

    def check(self, response: httpx2.Response) -> None:
        """Raise ContractViolation unless status, content type and body are as the document says."""
        request = response.request
        found = self._find(request.method, request.url.path)
        if found is None:
            return
        name = f"{request.method} {request.url.path}"
        self.exercised[found["operationId"]] += 1
        declared = found["responses"].get(str(response.status_code))
        if declared is None:
            raise ContractViolation(f"{name}: status {response.status_code} is not documented: {response.text[:300]}")
        schema = declared.get("content", {}).get("application/json", {}).get("schema")
        is_json = response.headers.get("content-type", "").startswith("application/json")
        if response.status_code in BODILESS or schema is None or not is_json:
            return
        rooted = {**schema, "components": self._document["components"]}
        errors = list(Draft202012Validator(rooted).iter_errors(json.loads(response.content)))
        if errors:
            raise ContractViolation(f"{name} {response.status_code}: {errors[0].json_path}: {errors[0].message[:300]}")

    def _find(self, method: str, path: str) -> dict[str, Any] | None:
        for pattern, _, item in self._paths:
            if pattern.match(path) and method.lower() in item:
                operation: dict[str, Any] = item[method.lower()]
                return operation
        return None


def contract_client(contract: Contract, **options: Any) -> httpx2.AsyncClient:
    """Return a client whose every answer is checked."""

    async def check(response: httpx2.Response) -> None:
        await response.aread()
        contract.check(response)

    return httpx2.AsyncClient(event_hooks={"response": [check]}, **options)
