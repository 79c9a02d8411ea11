"""The few calls that this command makes to its own processes."""

import json
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

from taskloom_cli.ports import HOST

SECONDS = 15
UNAVAILABLE = 503
PATIENCE_SECONDS = 20.0
PAUSE_SECONDS = 0.25


class CallFailed(Exception):
    """The API refused a call; the text has the status and the answer."""

    def __init__(self, status: int, answer: str) -> None:
        super().__init__(f"{status}: {answer[:300]}")
        self.status = status


def post(port: int, path: str, body: Any, *, identity: str | None = None, key: str | None = None) -> Any:
    """Post to an API, once for each `key`, and return the envelope's data.

    Raises CallFailed, or OSError without an answer.
    """
    headers = {"content-type": "application/json", "x-taskloom-identity": identity, "idempotency-key": key}
    return json.loads(_ask_patiently(port, "POST", path, json.dumps(body), _given(headers)))["data"]


def get(port: int, path: str, *, identity: str) -> Any:
    """Return the envelope's data. Raises like `post`."""
    return json.loads(_ask_patiently(port, "GET", path, None, {"x-taskloom-identity": identity}))["data"]


def is_ready(port: int) -> bool:
    """Tell whether a process answers that it is ready."""
    try:
        _ask(port, "GET", "/readyz", None, {})
    except (OSError, CallFailed):
        return False
    return True


def _ask_patiently(port: int, method: str, path: str, body: str | None, headers: dict[str, str]) -> str:
    """Ask again for a while when a service is too busy for it, and so has done nothing."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return _ask(port, method, path, body, headers)
        except CallFailed as error:
            if error.status != UNAVAILABLE or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def _ask(port: int, method: str, path: str, body: str | None, headers: dict[str, str]) -> str:
    connection = HTTPConnection(HOST, port, timeout=SECONDS)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read().decode()
    except HTTPException as error:
        raise ConnectionError(str(error)) from None
    finally:
        connection.close()
    if response.status >= 400:  # noqa: PLR2004 - any refusal
        raise CallFailed(response.status, answer)
    return answer


def _given(headers: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value is not None}
