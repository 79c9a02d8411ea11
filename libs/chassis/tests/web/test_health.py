"""R64: a process says whether it lives and whether it can serve, quickly, whatever its checks do."""

import asyncio
import time

import httpx2
import pytest
from chassis.web.health import CHECK_SECONDS, Health, admin_app


async def well():
    pass


async def broken():
    raise RuntimeError("postgresql://user:secret@db refused")


async def hanging():
    await asyncio.Event().wait()


async def hanging_in_its_end_too():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(5)


async def cancelled():
    raise asyncio.CancelledError


async def ask(path, health, method="GET"):
    transport = httpx2.ASGITransport(admin_app(health))
    async with httpx2.AsyncClient(transport=transport, base_url="http://admin") as api:
        return await api.request(method, path)


async def test_r64_a_process_whose_checks_pass_is_ready():
    answer = await ask("/readyz", Health(required={"database": well}, reported={"broker": well}))
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert (data["status"], {name: check["ok"] for name, check in data["checks"].items()}) == (
        "ok",
        {"database": True, "broker": True},
    )
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("check", [broken, hanging, hanging_in_its_end_too, cancelled])
async def test_r64_503_at_once_when_a_required_check_does_not_pass(check):
    began = time.monotonic()
    answer = await ask("/readyz", Health(required={"database": check, "schema": well}))
    assert time.monotonic() - began < CHECK_SECONDS + 1
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "NOT_READY")
    checks = answer.json()["data"]["checks"]
    assert {name: check["ok"] for name, check in checks.items()} == {"database": False, "schema": True}
    assert b"secret" not in answer.content


@pytest.mark.parametrize("check", [broken, hanging])
async def test_r64_a_broker_that_is_away_is_reported_and_decides_nothing(check):
    answer = await ask("/readyz", Health(required={"database": well}, reported={"broker": check}))
    assert answer.status_code == 200
    assert answer.json()["data"]["checks"]["broker"]["ok"] is False


async def test_r64_slow_checks_run_at_once():
    slow = {f"check{n}": hanging for n in range(10)}
    began = time.monotonic()
    assert (await ask("/readyz", Health(reported=slow))).status_code == 200
    assert time.monotonic() - began < 3 * CHECK_SECONDS


async def test_r63_a_process_that_stops_is_not_ready_and_lives():
    health = Health(required={"database": well}, stopping=True)
    assert (await ask("/readyz", health)).status_code == 503
    assert (await ask("/livez", health)).status_code == 200


async def test_r64_living_needs_nothing():
    answer = await ask("/livez", Health(required={"database": hanging}))
    assert (answer.status_code, answer.json()["data"]) == (200, {"status": "ok"})


async def test_metrics_are_prometheus_text():
    answer = await ask("/metrics", Health())
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE taskloom_http_requests_total counter" in answer.text
