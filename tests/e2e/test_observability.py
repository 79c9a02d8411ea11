"""One request can be followed through everything that it causes: in logs, in metrics, and in traces."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
from chassis.ids import uuid7
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from testkit.waiting import eventually

PASSWORD = "violet-harbor-77"


async def test_one_request_id_and_one_trace_id_from_the_gateway_to_the_consumers(api, sign_up, copy):
    user = await sign_up()
    request_id = f"trail-{uuid7().hex}"
    headers = {**user.headers, "x-request-id": request_id}
    answer = await api.post("/api/v1/tasks", json={"title": "secret plan"}, headers=headers)
    assert answer.headers["x-request-id"] == answer.json()["meta"]["request_id"] == request_id
    wanted = ("gateway", "tasks", "notifications-background", "attachments-background")

    async def trail():
        found = {name: lines_of(copy, name, request_id) for name in wanted}
        return found if all(found.values()) else None

    lines = [line for found in (await eventually(trail)).values() for line in found]
    assert len({line["trace_id"] for line in lines}) == 1
    assert {line["level"] for line in lines} == {"info"}
    for line in lines:
        assert {"at", "event", "service", "request_id", "trace_id"} <= line.keys()
        assert "secret plan" not in json.dumps(line)


def lines_of(copy, name, request_id):
    log = Path(copy["data_dir"]) / "logs" / f"{name}.log"
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if request_id in line]
    return [line for line in lines if line.get("request_id") == request_id]


async def test_every_process_has_metrics_of_its_own_and_none_at_the_public_port(api, sign_up, copy):
    user = await sign_up()
    await api.post("/api/v1/tasks", json={"title": "a"}, headers=user.headers)
    wanted = {
        "gateway": 'taskloom_gateway_requests_total{method="POST",route="/api/v1/tasks",status="201"}',
        "tasks": 'taskloom_http_requests_total{method="POST",route="/api/v1/tasks",status="201"}',
        "tasks-background": 'taskloom_outbox_published_total{table="tasks.change"}',
        "notifications-background": 'taskloom_messages_total{outcome="handled",queue="notifications.live"}',
        "auth": 'taskloom_http_requests_total{method="POST",route="/api/v1/auth/login",status="200"}',
        "attachments": "python_info",
    }
    async with httpx2.AsyncClient(timeout=60) as client:
        for process, line in wanted.items():

            async def shown(process=process, line=line):
                return line in (await client.get(copy["metrics"][process])).text

            await eventually(shown)
    assert (await api.get("/metrics")).status_code == 404


class Collector:
    """Takes in spans as a trace backend does (OTLP over HTTP)."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str, str, str]] = []

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                    self.spans.append((service, span.name, *ids))

    @contextmanager
    def listening(self) -> Iterator[str]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()


async def test_traces_go_where_otel_says_from_the_client_to_the_consumer(start_copy, tmp_path):
    collector = Collector()
    trace_id, client_span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with collector.listening() as url:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        with start_copy(tmp_path, **settings) as summary:
            async with httpx2.AsyncClient(base_url=f"{summary['api']}/api/v1", timeout=60) as client:
                credentials = {"email": "ada@example.com", "password": PASSWORD}
                await client.post("/auth/register", json={**credentials, "display_name": "Ada"})
                tokens = (await client.post("/auth/login", json=credentials)).json()["data"]
                headers = {
                    "authorization": f"Bearer {tokens['access_token']}",
                    "traceparent": f"00-{trace_id}-{client_span}-01",
                }
                assert (await client.post("/tasks", json={"title": "a"}, headers=headers)).status_code == 201

            async def traced():
                spans = {service: span for service, *span in collector.spans if span[1] == trace_id}
                wanted = {"taskloom-gateway", "taskloom-tasks", "taskloom-notifications-background"}
                return spans if wanted <= spans.keys() else None

            spans = await eventually(traced)
    (gateway_name, _, gateway_id, gateway_parent) = spans["taskloom-gateway"]
    (_, _, tasks_id, tasks_parent) = spans["taskloom-tasks"]
    (consumer_name, _, _, consumer_parent) = spans["taskloom-notifications-background"]
    assert (gateway_name, gateway_parent) == ("POST /api/v1/tasks", client_span)
    assert tasks_parent == gateway_id
    assert consumer_parent == tasks_id
    assert consumer_name.startswith("notifications.live ")
