"""What must never be answered by a replica that lags."""

import pytest
from auth_service.db import SCHEMA
from chassis.db.engine import Database, open_database
from testkit.databases import migrated_database


@pytest.fixture(scope="module")
def empty_settings(postgres_url, worker_id):
    """A replica to which nothing has come yet."""
    return migrated_database(postgres_url, f"{SCHEMA}_empty_{worker_id}", lambda _url: None)


async def test_everything_about_identity_is_read_from_the_primary(
    open_api, database, empty_settings, account, test_gateway
):
    lagging = open_database(empty_settings, application_name="auth-tests-replica")
    split = Database(database.writer, lagging.reader, database.sessions)
    async with open_api(on=split) as api:
        body = {**account.credentials, "display_name": "Ada"}
        assert (await api.post("/api/v1/auth/register", json=body)).status_code == 409
        login = await api.post("/api/v1/auth/login", json=account.credentials)
        assert login.status_code == 200
        token = {"refresh_token": login.json()["data"]["refresh_token"]}
        assert (await api.post("/api/v1/auth/refresh", json=token)).status_code == 200
        assert len((await api.get("/.well-known/jwks.json")).json()["keys"]) >= 2
        assert (await api.get("/api/v1/users/me", headers=account.headers())).status_code == 200
        listed = await api.get("/api/v1/auth/sessions", headers=account.headers())
        assert listed.json()["meta"]["total"] == 1
        assert (await api.post("/api/v1/auth/logout-all", headers=account.headers())).status_code == 200
        marks = await api.get("/internal/revocations", headers=test_gateway.service_headers())
        assert marks.json()["sessions"]
    await lagging.close()
