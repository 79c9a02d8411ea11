"""Every operation of every service against every state of a credential, as far as the gateway decides it.

The rows come from the contracts, so a new operation is in the table by being in its contract. What the services decide
behind the gateway, such as scopes, is in the same table over the whole system (tests/e2e).
"""

import json
import re
import time
from collections import Counter

import pytest
from gateway.api import own_document
from testkit.waiting import eventually

SAMPLE = "01900000-0000-7000-8000-000000000000"
SERVICES = ("auth", "tasks", "notifications", "attachments")
REFUSED = {
    "anonymous": (401, "UNAUTHENTICATED"),
    "expired token": (401, "INVALID_TOKEN"),
    "ended session": (401, "INVALID_TOKEN"),
    "disabled user": (401, "INVALID_TOKEN"),
    "expired API token": (401, "INVALID_TOKEN"),
    "revoked API token": (401, "INVALID_TOKEN"),
    "API token of a disabled user": (401, "INVALID_TOKEN"),
    "API token from elsewhere": (403, "ADDRESS_NOT_ALLOWED"),
}
RIGHT = ("session", "API token")


def secured_operations(folder):
    documents = {name: json.loads((folder / f"{name}.openapi.json").read_text()) for name in SERVICES}
    documents["gateway"] = own_document()
    for service, document in documents.items():
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if not path.startswith("/internal") and operation["security"]:
                    yield service, method.upper(), re.sub(r"\{[^}]+\}", SAMPLE, path)


@pytest.fixture
async def credentials(api, auth):
    """A header for each state; those that ended were good before."""
    now = int(time.time())
    old = auth.user(iat=now - 90_000 + 3600, nbf=now - 90_000 + 3600, exp=now - 3600)
    ended, disabled = auth.user(), auth.user(iat=now - 10, nbf=now - 10)
    expired, revoked, of_disabled, elsewhere, good = (auth.api_token() for _ in range(5))
    expired.found["active"] = revoked.found["active"] = of_disabled.found["active"] = False
    elsewhere.found["ip_allowlist"] = ["203.0.113.0/24"]
    auth.revoke_session(ended.session)
    auth.revoke_user(disabled.id, before=now)
    asked = auth.asked

    async def marks_are_known():
        return auth.asked > asked + 1

    await eventually(marks_are_known, seconds=5)
    return {
        "anonymous": {},
        "expired token": old.headers,
        "ended session": ended.headers,
        "disabled user": disabled.headers,
        "expired API token": expired.headers,
        "revoked API token": revoked.headers,
        "API token of a disabled user": of_disabled.headers,
        "API token from elsewhere": elsewhere.headers,
        "session": auth.user().headers,
        "API token": good.headers,
    }


async def test_every_operation_is_closed_to_every_credential_that_is_not_good(
    start, auth, services, credentials, contracts_folder
):
    rows = list(secured_operations(contracts_folder))
    assert credentials.keys() == {*REFUSED, *RIGHT}
    wrong, cells = [], Counter()
    async with start() as gateway, gateway.client() as api:
        for _, method, path in rows:
            for state, (status, code) in REFUSED.items():
                answer = await api.request(method, path, headers=credentials[state])
                found = answer.status_code, answer.json()["errors"][0]["code"]
                challenged = answer.headers.get("www-authenticate") == "Bearer"
                if found != (status, code) or challenged != (status == 401):
                    wrong.append((method, path, state, found))
                cells[state] += 1
        assert [service for service in services.named().values() if service.requests] == []
        for service, method, path in rows:
            for state in RIGHT:
                answer = await api.request(method, path, headers=credentials[state])
                if service != "gateway" and answer.status_code != 200:
                    wrong.append((method, path, state, answer.status_code))
                if answer.status_code in (401, 403):
                    wrong.append((method, path, state, answer.status_code))
                cells[state] += 1
    assert wrong == []
    assert cells == dict.fromkeys((*REFUSED, *RIGHT), len(rows))
    assert len(rows) >= 19
