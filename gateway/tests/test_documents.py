"""What the gateway says of the system: documents, error codes, status (R64), and its own contract."""

import ast
import asyncio
import json
import re

import pytest
from chassis.errors import error_classes
from chassis.web.validation import CODES
from gateway.api import STATIC, own_document
from gateway.documents import merge_documents
from openapi_spec_validator import validate
from structlog.testing import capture_logs
from testkit.contract import Contract
from testkit.explained import unexplained
from testkit.waiting import eventually

EXTERNAL = re.compile(r"""(?:src|href|url\(|import|fetch\()\s*[=(]?\s*["']?(?:https?:)?//""", re.IGNORECASE)


def contracts(folder):
    names = ("auth", "tasks", "notifications", "attachments")
    return {name: json.loads((folder / f"{name}.openapi.json").read_text()) for name in names}


@pytest.fixture
def documented(services, contracts_folder):
    """The services publish their real documents."""
    for name, document in contracts(contracts_folder).items():
        services.named()[name].document = document


async def test_merged_document_is_valid_and_complete(start, services, documented, contracts_folder):
    async with start(public_base_url="https://tasks.example") as gateway, gateway.client() as api:
        document = (await api.get("/openapi.json")).json()
    validate(document)
    public = {
        path
        for one in (*contracts(contracts_folder).values(), own_document())
        for path in one["paths"]
        if not path.startswith("/internal")
    }
    assert document["paths"].keys() == public
    assert document["servers"] == [{"url": "https://tasks.example"}]
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    identifiers = [operation["operationId"] for operation in operations]
    assert len(identifiers) == len(set(identifiers))


async def test_merged_document_is_the_committed_one(start, services, documented, contracts_folder):
    committed = json.loads((contracts_folder / "public.openapi.json").read_text())
    async with start() as gateway, gateway.client() as api:
        document = (await api.get("/openapi.json")).json()
    assert document["paths"] == committed["paths"]
    assert document["components"] == committed["components"]


def test_every_public_operation_is_described_and_shown_with_examples_that_are_true(contracts_folder):
    public = json.loads((contracts_folder / "public.openapi.json").read_text())
    assert sum(len(item) for item in public["paths"].values()) >= 177
    assert unexplained(public) == []


def test_e9_what_may_cost_more_than_one_says_so():
    def document(path):
        answers = {"200": {"description": "Done."}}
        return {"paths": {path: {"post": {"operationId": "one", "responses": answers, "security": [{"bearer": []}]}}}}

    costly = merge_documents({"tasks": document("/api/v1/tasks/bulk")}, server="http://here")
    responses = costly["paths"]["/api/v1/tasks/bulk"]["post"]["responses"]
    assert all("X-RateLimit-Cost" in response["headers"] for response in responses.values())
    assert "COST_ABOVE_LIMIT" in responses["422"]["content"]["application/json"]["examples"]
    plain = merge_documents({"tasks": document("/api/v1/tasks")}, server="http://here")
    assert not re.search("cost", json.dumps(plain), re.IGNORECASE)


def test_a_schema_that_refers_to_what_another_service_calls_the_same_is_kept_apart():
    def document(field):
        referring = {"properties": {"data": {"$ref": "#/components/schemas/Thing"}}}
        outer = {"properties": {"data": {"$ref": "#/components/schemas/Envelope"}}}
        schemas = {"Outer": outer, "Envelope": referring, "Thing": {"required": [field]}, "Same": {"type": "null"}}
        answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Outer"}}}}
        paths = {f"/{field}": {"get": {"operationId": field, "responses": {"200": answer}}}}
        return {"paths": paths, "components": {"schemas": schemas}}

    merged = merge_documents({"auth": document("user"), "tasks": document("task")}, server="http://here")
    schemas = merged["components"]["schemas"]
    assert sorted(schemas) == ["Envelope", "Outer", "Same", "TasksEnvelope", "TasksOuter", "TasksThing", "Thing"]
    for path, expected in (("/user", ["user"]), ("/task", ["task"])):
        found = merged["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        for _ in range(2):
            found = schemas[found["$ref"].rpartition("/")[2]]["properties"]["data"]
        assert schemas[found["$ref"].rpartition("/")[2]]["required"] == expected


async def test_error_codes_are_complete(start, services, documented, contracts_folder):
    async with start() as gateway, gateway.client() as api:
        answer = await api.get("/api/v1/meta/errors")
    entries = answer.json()["data"]
    codes = [entry["code"] for entry in entries]
    assert codes == sorted(set(codes))
    own = {error.code for error in error_classes() if error.__module__.startswith("gateway.")}
    assert own <= set(codes)
    of_services = {
        entry["code"] for one in contracts(contracts_folder).values() for entry in one.get("x-error-codes", [])
    }
    assert of_services <= set(codes)
    assert all(400 <= entry["status"] < 600 and entry["message"] for entry in entries)


async def test_document_while_a_service_is_down_has_the_rest_and_heals(start, services, documented, contracts_folder):
    services.attachments.document = ["not", "a", "document"]
    async with start() as gateway, gateway.client() as api:
        first = await api.get("/openapi.json")
        assert first.status_code == 200
        assert "/api/v1/tasks" in first.json()["paths"]
        assert "/api/v1/attachments/{attachment_id}" not in first.json()["paths"]
        validate(first.json())
        services.attachments.document = contracts(contracts_folder)["attachments"]

        async def healed():
            return "/api/v1/attachments/{attachment_id}" in (await api.get("/openapi.json")).json()["paths"]

        assert await eventually(healed, seconds=5)


async def test_document_comes_although_nobody_listens_and_is_complete_later(
    start, all_services, documented, contracts_folder, closed_port
):
    async with start(attachments_url=f"http://127.0.0.1:{closed_port}") as gateway, gateway.client() as api:
        first = (await api.get("/openapi.json")).json()
        assert "/api/v1/tasks" in first["paths"]
        assert not any("attachments" in path for path in first["paths"])
        codes = {entry["code"] for entry in (await api.get("/api/v1/meta/errors")).json()["data"]}
        assert "RATE_LIMITED" in codes


async def test_last_good_document_outlives_an_outage(start, services, documented):
    async with start() as gateway, gateway.client() as api:
        whole = (await api.get("/openapi.json")).json()
        services.tasks.document = {}
        assert (await api.get("/openapi.json")).json() == whole


@pytest.fixture
def unmergeable(services):
    """A service publishes a code that can be put in order with no other."""
    kept = services.tasks.document
    services.tasks.document = {"paths": {}, "x-error-codes": [{"code": 1}]}
    yield
    services.tasks.document = kept


async def test_r27_a_crash_of_what_is_the_gateways_own_is_told_once_and_answered_in_the_envelope(
    start, unmergeable, is_refused
):
    async with start() as gateway, gateway.client() as api:
        with capture_logs() as logs:
            answer = await api.get("/api/v1/meta/errors", headers={"x-request-id": "my-request-1"})
    is_refused(answer, 500, "INTERNAL_ERROR")
    assert answer.headers["x-request-id"] == "my-request-1"
    mine = [line["event"] for line in logs if line["event"].startswith("request.")]
    assert mine == ["request.crashed", "request.served"]


async def test_docs_page_and_its_assets_are_ours(api):
    page = await api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.headers["content-security-policy"]
    assert "//" not in page.text.replace("<!--", "")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assets = [link for link in links if link != "/docs/events"]
    assert len(assets) == len(links) - 1 == 3
    for asset in assets:
        answer = await api.get(asset)
        assert answer.status_code == 200
        kind = {"css": "text/css", "js": "text/javascript"}[asset.rpartition(".")[2]]
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["cache-control"] == "public, max-age=86400"
    for own in ("docs.html", "docs.js", "swagger-ui.css"):
        assert not EXTERNAL.search((STATIC / own).read_text())


NO_ASSETS = ("docs.html", "swagger-ui.LICENSE", "nothing.js", ".js", "x%00.js", "__init__.py", f"{'a' * 300}.js")


@pytest.mark.parametrize("name", NO_ASSETS)
async def test_docs_asset_that_is_none_404(api, is_refused, name):
    answer = await api.get(f"/docs/{name}")
    is_refused(answer, *((400, "MALFORMED_PATH") if "%00" in name else (404, "ROUTE_NOT_FOUND")))


async def test_status_names_services_and_nothing_of_their_insides(start, services, closed_port):
    urls = {"attachments_url": f"http://127.0.0.1:{closed_port}"}
    async with start(**urls) as gateway, gateway.client() as api:
        answer = await api.get("/api/v1/status")
    states = {"auth": "ok", "tasks": "ok", "notifications": "ok", "attachments": "down"}
    assert answer.json()["data"] == {"status": "degraded", "services": states}
    assert not re.search(r"127\.0\.0\.1|\d{4,5}\b(?!-)", str(answer.json()["data"]))
    assert answer.headers["cache-control"] == "no-store"


async def test_r64_probes_need_nothing_and_say_nothing(start, services, closed_port):
    down = {f"{name}_url": f"http://127.0.0.1:{closed_port}" for name in ("tasks", "notifications", "attachments")}
    async with start(**down) as gateway, gateway.client(headers={"host": "probe"}) as api:
        for probe in ("/livez", "/readyz"):
            answer = await api.get(probe)
            assert (answer.status_code, answer.json()["data"]["status"]) == (200, "ok")
        assert (await api.head("/livez")).content == b""


async def test_every_operation_of_the_gateway_answers_as_its_document_says(gateway, user, services):
    contract = Contract(own_document())

    async def check(response):
        await response.aread()
        contract.check(response)

    async with gateway.client(event_hooks={"response": [check]}) as api:
        for path in ("/api/v1/status", "/api/v1/meta/errors", "/api/v1/meta/events"):
            assert (await api.get(path)).status_code == 200
            assert (await api.get(path, params={"nothing": 1})).status_code == 422
        assert (await api.post("/api/v1/ws-tickets", headers=user.headers)).status_code == 201
        assert (await api.post("/api/v1/ws-tickets")).status_code == 401
    assert contract.exercised.keys() == contract.operations
    assert len(contract.operations) == 4


async def test_wrong_method_405_names_the_right_ones(api, user, is_refused):
    answer = await api.delete("/api/v1/status")
    is_refused(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD"
    answer = await api.get("/api/v1/ws-tickets", headers=user.headers)
    is_refused(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST"


async def test_head_is_get_without_a_body(api):
    for path in ("/docs", "/openapi.json", "/api/v1/status"):
        answer = await api.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) > 0


async def test_r64_status_is_asked_for_once_a_second_and_redirects_are_not_followed(start):
    asked = []

    async def moved(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /livez\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(moved, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with start(tasks_url=f"http://127.0.0.1:{port}") as gateway, gateway.client() as api:
            answers = await asyncio.gather(*(api.get("/api/v1/status") for _ in range(10)))
            assert {answer.json()["data"]["services"]["tasks"] for answer in answers} == {"unready"}
            assert [one.split()[1] for one in asked] == [b"/readyz"]

            async def asked_again():
                await api.get("/api/v1/status")
                return len(asked) == 2

            await eventually(asked_again, seconds=4)


def coded_literals(folder):
    """Every code that is written as text where an error about a field is made."""
    for path in folder.glob("**/src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("PydanticCustomError", "ErrorDetail"):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def test_every_code_that_is_written_anywhere_is_in_the_catalogue(contracts_folder):
    root = contracts_folder.parents[1]
    written = {code for part in ("libs/chassis", "services", "gateway") for code in coded_literals(root / part)}
    assert len(written) >= 15
    public = json.loads((contracts_folder / "public.openapi.json").read_bytes())
    listed = {entry["code"] for entry in public["x-error-codes"]}
    assert written - listed == set()
    assert {code for code, _ in CODES.values()} <= listed
