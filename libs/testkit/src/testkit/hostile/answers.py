"""Whether a hostile request is answered as it has to be: by a stated refusal in the envelope (R27, R28)."""

from collections.abc import Iterator
from typing import Any

import httpx2

from testkit.contract import ContractViolation
from testkit.hostile.documents import Asked, Attack
from testkit.hostile.values import MARKER

ENVELOPE = {"success", "data", "message", "errors", "meta"}
# Beside the envelope, where a form asks for a token (RFC 6749, section 5.2).
OF_OAUTH = {"error", "error_description"}
ENTRY = {"field", "code", "message"}
MORE = {"hint", "allowed", "position", "pointer", "expected", "index"}
UNPROCESSABLE = 422
INVALID = frozenset({400, UNPROCESSABLE})
WITH_DATA = frozenset({403, 409, 412})
LONGEST_REFUSAL = 20_000


async def attacked(
    api: httpx2.AsyncClient, asked: Asked, attack: Attack, headers: dict[str, str]
) -> tuple[int, list[str]]:
    """Send an attack; return the status (0: none that is documented), and what is wrong with the answer."""
    status, complaints = await _sent(api, asked, attack, headers)
    if attack.parts and (complaints or status != UNPROCESSABLE):
        alone = [await _sent(api, asked, part, headers) for part in attack.parts]
        return status, [complaint for _, found in alone for complaint in found]
    return status, complaints


async def _sent(
    api: httpx2.AsyncClient, asked: Asked, attack: Attack, headers: dict[str, str]
) -> tuple[int, list[str]]:
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    sent += [(name.encode(), value) for name, value in attack.headers.items()]
    try:
        answer = await api.request(asked.method, attack.path, content=attack.content, headers=sent)
    except ContractViolation as violation:
        return 0, [f"{attack.name}: {violation}"]
    return answer.status_code, [f"{attack.name}: {one}: {answer.text[:300]}" for one in _complaints(answer, attack)]


def _complaints(answer: httpx2.Response, attack: Attack) -> Iterator[str]:
    if answer.status_code >= 500:
        yield f"answered {answer.status_code}"
    elif answer.status_code >= 400:
        yield from _of_refusal(answer, attack)
    elif attack.refused:
        yield f"answered {answer.status_code} to what has to be refused"


def _of_refusal(answer: httpx2.Response, attack: Attack) -> Iterator[str]:
    body = answer.json()
    if body.keys() - OF_OAUTH != ENVELOPE or body["success"] is not False or not body["message"] or not body["errors"]:
        yield "is no envelope"
        return
    if body["meta"].get("request_id") != answer.headers["x-request-id"]:
        yield "has another request id"
    if body["data"] is not None and answer.status_code not in WITH_DATA:
        yield "has data"
    if any(not _is_entry(entry) for entry in body["errors"]):
        yield "has a malformed entry of errors"
    if answer.status_code not in WITH_DATA and _echoes(body):
        yield "has the input"
    if len(answer.content) > LONGEST_REFUSAL:
        yield f"has {len(answer.content)} bytes"
    named = [str(entry["field"]) for entry in body["errors"]]
    unnamed = [about for about in attack.about if not any(_is_about(one, about) for one in named)]
    if unnamed and answer.status_code in INVALID:
        yield f"names {named} and not {unnamed}"


def _is_entry(entry: dict[str, Any]) -> bool:
    return ENTRY <= entry.keys() <= ENTRY | MORE and bool(entry["code"]) and bool(entry["message"])


def _echoes(body: dict[str, Any]) -> bool:
    """Tell whether a value is in the refusal; the name of a field or parameter that is unknown has to be."""
    entries = [{**entry, "field": None} for entry in body["errors"]]
    hidden = {**body, "errors": entries}
    return MARKER in str(hidden)


def _is_about(named: str, about: str) -> bool:
    return named == about or named.startswith(f"{about}.") or about.startswith(f"{named}.")
