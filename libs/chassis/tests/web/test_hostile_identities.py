"""R21: whatever is no identity of the gateway's making is 401 at a service, never a 5xx and never believed."""

import httpx2
import pytest
from chassis.ids import uuid7
from chassis.tokens import (
    ACCESS_TYPE,
    IDENTITY_AUDIENCE,
    IDENTITY_ISSUER,
    IDENTITY_SECONDS,
    IDENTITY_TYPE,
    IdentitySigner,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from testkit.hostile.forger import Forger
from testkit.hostile.vectors import ACCESS_TOKENS_ONLY, HOSTILE, values

NOTES, INTERNAL = "/api/v1/notes", "/api/v1/internal"


@pytest.fixture
def forger(test_gateway):
    return Forger(
        key=load_pem_private_key(test_gateway.private_key.encode(), None),
        kid=IdentitySigner.KEY_ID,
        typ=IDENTITY_TYPE,
        issuer=IDENTITY_ISSUER,
        audience=IDENTITY_AUDIENCE,
        lifetime=IDENTITY_SECONDS,
        other_typ=ACCESS_TYPE,
        other_issuer="taskloom",
        other_audience="taskloom-api",
        identity=f"{test_gateway.headers(uuid7())['x-taskloom-identity']}.",
    )


@pytest.fixture
async def plain(app):
    """A client that says nothing of itself, and gets a crash as the answer that a caller gets."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://notes") as client:
        yield client


@pytest.mark.parametrize("path", [NOTES, INTERNAL])
@pytest.mark.parametrize("prefix", [b"Bearer ", b""])
async def test_r21_hostile_identity_401(plain, forger, app, path, prefix):
    good = {"x-taskloom-identity": forger.token(kind="service" if path == INTERNAL else "user")}
    assert (await plain.get(path, headers=good)).status_code == 200
    seen, answers = len(app.state.identities), {}
    for name, value in values(forger).items():
        if name in ACCESS_TOKENS_ONLY:
            continue
        header = value if prefix else value.removeprefix(b"Bearer ")
        answer = await plain.get(path, headers=[(b"x-taskloom-identity", header)])
        answers[name] = answer.status_code, answer.json()["errors"][0]["code"], answer.headers.get("www-authenticate")
    assert {name: got for name, got in answers.items() if got != (401, "UNAUTHENTICATED", "Bearer")} == {}
    assert len(answers) == len(HOSTILE) - len(ACCESS_TOKENS_ONLY)
    assert (await plain.get(path, headers=good)).status_code == 200
    assert len(app.state.identities) == seen
