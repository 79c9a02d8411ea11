"""Every operation against every state of a credential, over the whole system.

The rows are the operations of /openapi.json, so the table is complete by construction; a count of its cells says so.
What an operation asks of an API token is in its `x-api-tokens`: a scope, `any` or `none`.
"""

import json
import re
import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from chassis.clock import rfc3339, utcnow
from testkit.waiting import eventually

PASSWORD = "violet-harbor-77"
CONTRACT = Path(__file__).parents[2] / "contracts" / "http" / "public.openapi.json"
SAMPLE = "01900000-0000-7000-8000-000000000000"
OF_JOBS = {"GET": "tasks:read", "POST": "tasks:write"}
SCOPES = [
    *("tasks:read", "tasks:write", "tasks:delete", "comments:write"),
    *("notifications:read", "notifications:write", "webhooks:manage"),
]
LIMITS = ("GATEWAY_RATE_LIMIT_PER_MINUTE", "GATEWAY_ANONYMOUS_LIMIT_PER_MINUTE", "GATEWAY_LOGIN_LIMIT_PER_MINUTE")
UNAUTHENTICATED, INVALID = (401, "UNAUTHENTICATED"), (401, "INVALID_TOKEN")
ENDED = {
    "anonymous": UNAUTHENTICATED,
    "not a token": INVALID,
    "ended session": INVALID,
    "disabled user": INVALID,
    "expired API token": INVALID,
    "revoked API token": INVALID,
    "API token of a disabled user": INVALID,
}
PASSED = (401, 403)
SHORT_LIFE = 10
"""Seconds that the API token lives which is to expire."""
EVENT_STREAM = "text/event-stream"
STEP_UP = "/api/v1/auth/step-up"
"""Where an empty body has passed, and is told what would be a proof."""
OF_ACCOUNTS = ("/api/v1/auth/", "/api/v1/users/me")


@dataclass(frozen=True)
class Operation:
    """A row of the table."""

    method: str
    path: str
    is_public: bool
    tokens: str

    @property
    def needs_admin(self) -> bool:
        return self.path.startswith("/api/v1/admin/")

    @property
    def sent(self) -> dict[str, Any]:
        return {"json": {}} if self.method in ("POST", "PUT", "PATCH") else {}


class System:
    """A copy with its limits out of the way, seen through the gateway."""

    def __init__(self, client: httpx2.AsyncClient, admin: dict[str, str]) -> None:
        self.client = client
        self.admin = admin

    async def operations(self) -> list[Operation]:
        paths = json.loads(CONTRACT.read_bytes())["paths"].keys()

        async def whole() -> dict[str, Any] | None:
            found = (await self.client.get("/openapi.json")).raise_for_status().json()
            return found if found["paths"].keys() >= paths else None

        # A service that is slow to begin is in it a moment later.
        document = await eventually(whole, seconds=60)
        assert document["paths"].keys() == paths
        return [
            Operation(
                method.upper(), re.sub(r"\{[^}]+\}", SAMPLE, path), not operation["security"], operation["x-api-tokens"]
            )
            for path, item in document["paths"].items()
            for method, operation in item.items()
        ]

    async def user(self) -> tuple[str, dict[str, str]]:
        """Sign up somebody; return id and headers of a session that has just begun."""
        email = f"{secrets.token_hex(8)}@example.com"
        registration = {"email": email, "password": PASSWORD, "display_name": "Somebody"}
        (await self.client.post("/api/v1/auth/register", json=registration)).raise_for_status()
        return await self.log_in(email, PASSWORD)

    async def log_in(self, email: str, password: str) -> tuple[str, dict[str, str]]:
        answer = await self.client.post("/api/v1/auth/login", json={"email": email, "password": password})
        data = answer.raise_for_status().json()["data"]
        return data["user"]["id"], {"authorization": f"Bearer {data['access_token']}"}

    async def token(self, headers: dict[str, str], scopes: list[str], **terms: Any) -> tuple[str, dict[str, str]]:
        body = {"name": "table", "scopes": scopes, **terms}
        answer = await self.client.post("/api/v1/auth/tokens", json=body, headers=headers)
        data = answer.raise_for_status().json()["data"]
        return data["id"], {"authorization": f"Bearer {data['token']}"}

    async def call(self, operation: Operation, headers: dict[str, str]) -> tuple[int, str]:
        async with self.client.stream(operation.method, operation.path, headers=headers, **operation.sent) as answer:
            # What tells of events has no end.
            if not answer.headers.get("content-type", "").startswith(EVENT_STREAM):
                await answer.aread()
        assert answer.status_code < 500, operation
        if answer.status_code not in PASSED:
            return answer.status_code, "passed"
        return answer.status_code, answer.json()["errors"][0]["code"]

    async def is_over(self, headers: dict[str, str], *, seconds: float = 0) -> None:
        """Wait until a credential that ends in `seconds` has stopped working: two more by the rule, one of grace."""

        async def over() -> bool:
            return (await self.client.get("/api/v1/users/me", headers=headers)).status_code == 401

        await eventually(over, seconds=seconds + 3)


@pytest.fixture(scope="module")
async def system(start_copy, tmp_path_factory):
    settings = dict.fromkeys(LIMITS, "1000000")
    with start_copy(tmp_path_factory.mktemp("table"), seeded=True, **settings) as summary:
        async with httpx2.AsyncClient(base_url=summary["api"], timeout=60) as client:
            found = System(client, {})
            boss = summary["users"][0]
            _, found.admin = await found.log_in(boss["email"], boss["password"])
            yield found


async def ended_credentials(system: System) -> dict[str, dict[str, str]]:
    """Return credentials that worked, and do not any more."""
    _, of_session = await system.user()
    user_id, of_user = await system.user()
    _, owner = await system.user()
    soon = rfc3339(utcnow() + timedelta(seconds=SHORT_LIFE))
    _, expired = await system.token(owner, SCOPES, expires_at=soon)
    revoked_id, revoked = await system.token(owner, SCOPES)
    _, of_disabled = await system.token(of_user, SCOPES)
    found = {
        "anonymous": {},
        "not a token": {"authorization": "Bearer nonsense"},
        "ended session": of_session,
        "disabled user": of_user,
        "expired API token": expired,
        "revoked API token": revoked,
        "API token of a disabled user": of_disabled,
    }
    for name, headers in found.items():
        if name not in ("anonymous", "not a token"):
            answer = await system.client.get("/api/v1/users/me", headers=headers)
            assert answer.status_code == 200, (name, answer.text)
    (await system.client.post("/api/v1/auth/logout", headers=of_session)).raise_for_status()
    (await system.client.delete(f"/api/v1/auth/tokens/{revoked_id}", headers=owner)).raise_for_status()
    disable = f"/api/v1/admin/users/{user_id}/disable"
    (await system.client.post(disable, json={}, headers=system.admin)).raise_for_status()
    for name, headers in found.items():
        await system.is_over(headers, seconds=SHORT_LIFE if name == "expired API token" else 0)
    return found


async def test_no_operation_is_open_to_a_credential_that_has_ended(system):
    operations = await system.operations()
    credentials = await ended_credentials(system)
    assert credentials.keys() == ENDED.keys()
    wrong, cells = [], Counter()
    for operation in operations:
        for state, expected in ENDED.items():
            found = await system.call(operation, credentials[state])
            # A public operation looks at no credential; some of them answer 401 for reasons of their own.
            if not operation.is_public and found != expected:
                wrong.append((operation, state, found))
            cells[state] += 1
    assert wrong == []
    assert cells == dict.fromkeys(ENDED, len(operations))


async def test_a_token_passes_where_its_scope_is_asked_for_and_nowhere_else(system):
    operations = [one for one in await system.operations() if not one.is_public]
    assert {one.tokens for one in operations} <= {*SCOPES, "admin:*", "any", "none"}
    _, owner = await system.user()
    tokens = {scope: (await system.token(owner, [scope]))[1] for scope in SCOPES}
    # Whose owner has the role, too.
    tokens["admin:*"] = (await system.token(system.admin, ["admin:*"]))[1]
    wrong, cells = [], 0
    for operation in operations:
        for scope, headers in tokens.items():
            status, code = await system.call(operation, headers)
            if operation.tokens == "none":
                expected = (403, "SESSION_REQUIRED")
            elif operation.path.startswith("/api/v1/jobs/") and scope != OF_JOBS[operation.method]:
                # Of a job that the token has not started itself.
                expected = (403, "INSUFFICIENT_SCOPE")
            elif operation.tokens in (scope, "any"):
                expected = (status, "passed")
            else:
                expected = (403, "INSUFFICIENT_SCOPE")
            if (status, code) != expected:
                wrong.append((operation, scope, status, code))
            cells += 1
    assert wrong == []
    assert cells == len(operations) * len(tokens)


async def test_a_read_only_token_writes_nowhere(system):
    _, owner = await system.user()
    _, headers = await system.token(owner, SCOPES, read_only=True)
    scopes = {one for one in SCOPES if not one.endswith(":read")}
    writing = [one for one in await system.operations() if one.tokens in scopes and one.method != "GET"]
    assert {one.tokens for one in writing} == scopes
    found = {(await system.call(operation, headers)) for operation in writing}
    assert found == {(403, "TOKEN_READ_ONLY")}


async def test_the_right_credential_passes_everywhere(system):
    """By a session of somebody who has just signed up; anew for each operation that may end it."""
    operations = [one for one in await system.operations() if not one.is_public]
    wrong = []
    _, somebody = await system.user()
    for operation in operations:
        may_end_it = operation.path.startswith(OF_ACCOUNTS)
        headers = system.admin if operation.needs_admin else (await system.user())[1] if may_end_it else somebody
        found = await system.call(operation, headers)
        if found != (403, "STEP_UP_REQUIRED") if operation.path == STEP_UP else found[1] != "passed":
            wrong.append((operation, found))
    assert wrong == []


async def test_what_is_for_administrators_is_closed_to_users(system):
    _, user = await system.user()
    _, token = await system.token(user, ["admin:*"])
    for operation in await system.operations():
        if operation.needs_admin:
            for headers in (user, token):
                assert await system.call(operation, headers) == (403, "FORBIDDEN"), operation


async def test_a_token_administers_the_workspaces_of_its_owner_who_is_nothing_in_the_instance(system):
    _, owner = await system.user()
    _, token = await system.token(owner, ["admin:*"])
    made = await system.client.post("/api/v1/workspaces", json={"name": "Ours"}, headers=owner)
    path = f"/api/v1/workspaces/{made.raise_for_status().json()['data']['id']}"
    invited = {"email": f"{secrets.token_hex(8)}@example.com", "role": "member"}
    assert (await system.client.post(f"{path}/invitations", json=invited, headers=token)).status_code == 201
    for collection in ("invitations", "audit"):
        assert (await system.client.get(f"{path}/{collection}", headers=token)).status_code == 200
