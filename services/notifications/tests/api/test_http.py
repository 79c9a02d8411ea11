"""What is not a socket: health, and the envelope on everything else."""

import httpx2
import pytest
from testkit.contract import contract_client


@pytest.fixture
async def api(service, contract):
    async with contract_client(contract, base_url=f"http://127.0.0.1:{service.port}") as found:
        yield found


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_r64_health_is_open_and_enveloped(api, path):
    answer = await api.get(path)
    assert answer.status_code == 200
    assert answer.json()["data"]["status"] == "ok"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/api/v1/nothing", "/api/v1/ws", "/internal/memberships"])
async def test_r27_any_other_route_404_in_the_envelope(api, path):
    answer = await api.get(path)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "NOT_FOUND"
    assert answer.json()["meta"]["request_id"] == answer.headers["x-request-id"]


async def test_r17_handshake_of_another_kind_is_no_crash(service):
    """A version of the protocol that nobody speaks, and a key that is none."""
    headers = {"connection": "Upgrade", "upgrade": "websocket"}
    broken = [{"sec-websocket-version": "7", "sec-websocket-key": "x"}, {"sec-websocket-version": "13"}]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{service.port}", timeout=60) as client:
        for more in broken:
            assert (await client.get("/api/v1/ws", headers={**headers, **more})).status_code in (400, 426)
