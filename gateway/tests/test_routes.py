"""The routing table against the contracts of the services: nothing more, nothing less, and the right access."""

import json
import re

import pytest
from gateway.api import own_document
from gateway.routes import ROUTES, RoutingTable

SOCKET = "/api/v1/ws"
UNDOCUMENTED = {"/openapi.json", "/asyncapi.json", "/docs", "/docs/{}", "/docs/events", "/docs/events/{}"}
"""Pages for people and tools, which are in no contract."""
LOGIN = {
    "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/auth/token",
    "/api/v1/auth/refresh",
    "/api/v1/auth/reactivate",
    "/api/v1/auth/oidc/{provider}/start",
    "/api/v1/auth/oidc/{provider}/complete",
    "/api/v1/auth/login/mfa",
    "/api/v1/auth/verify-email",
    "/api/v1/auth/verify-email/resend",
    "/api/v1/auth/password/forgot",
    "/api/v1/auth/password/reset",
    "/api/v1/auth/passkeys/login/options",
    "/api/v1/auth/passkeys/login",
    "/api/v1/invitations/link",
}
SAMPLE = "01900000-0000-7000-8000-000000000000"


def operations(folder):
    """Every public operation: service, path, method and whether it asks for a token."""
    documents = {name: json.loads((folder / f"{name}.openapi.json").read_text()) for name in _SERVICES}
    documents["gateway"] = own_document()
    for service, document in documents.items():
        for path, item in document["paths"].items():
            if path.startswith("/internal"):
                continue
            for method, operation in item.items():
                secured = operation.get("security", document.get("security", []))
                yield service, path, method, bool(secured) and {} not in secured


_SERVICES = ("auth", "tasks", "notifications", "attachments")


@pytest.fixture(scope="session")
def public_operations(contracts_folder):
    found = list(operations(contracts_folder))
    assert len(found) >= 25
    return found


def filled(path):
    return re.sub(r"\{[^}]+\}", SAMPLE, path)


def test_every_public_operation_is_routed_to_its_service_with_the_right_access(public_operations):
    table = RoutingTable()
    wrong = []
    for service, path, method, secured in public_operations:
        route = table.find(filled(path))
        expected = "user" if secured else "login" if path in LOGIN else "public"
        found = (route.upstream, route.access) if route else None
        if found != (service, expected):
            wrong.append((method, path, found, (service, expected)))
    assert wrong == []


def test_every_route_has_an_operation(public_operations):
    table = RoutingTable()
    used = {table.find(filled(path)).template for _, path, _, _ in public_operations}
    assert {route.template for route in ROUTES} - used == UNDOCUMENTED | {SOCKET}


def test_only_uploads_may_be_large(public_operations):
    table = RoutingTable()
    large = {path for _, path, _, _ in public_operations if table.find(filled(path)).upload}
    assert large == {"/api/v1/tasks/{task_id}/attachments", "/api/v1/imports"}


def test_r41_what_is_posted_only_to_read_is_no_write(contracts_folder):
    """Whatever writes takes an idempotency key, so that it can be repeated."""
    table, posts = RoutingTable(), {}
    for name in ("tasks", "attachments"):
        document = json.loads((contracts_folder / f"{name}.openapi.json").read_text())
        for path, item in document["paths"].items():
            if "post" in item and not path.startswith("/internal"):
                fields = {one.get("name", "").lower() for one in item["post"].get("parameters", [])}
                posts[path] = "idempotency-key" in fields
    assert len(posts) > 30
    assert {path: table.find(filled(path)).changes_by("POST") for path in posts} == posts


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/tasks",
        "/api/v1/Tasks",
        "/api/v1/tasks/",
        "/api/v1/tasksx",
        "/internal/revocations",
        "/internal/memberships",
        "/internal/events",
        f"/internal/tasks/{SAMPLE}",
        "/metrics",
        "/favicon.ico",
        "/robots.txt",
    ],
)
async def test_path_that_is_in_no_contract_404(api, user, services, is_refused, path):
    is_refused(await api.get(path, headers=user.headers), 404, "ROUTE_NOT_FOUND")
    assert all(service.requests == [] for service in services.named().values())


async def test_user_routes_need_a_token_and_others_do_not(api, services, public_operations):
    for service, path, method, secured in public_operations:
        if service == "gateway":
            continue
        answer = await api.request(method, filled(path))
        assert (path, answer.status_code) == (path, 401 if secured else 200)
    open_to_all = {filled(path) for path in LOGIN} | {"/api/v1/auth/oidc/providers"}
    reached = {name: {one.target for one in service.requests} for name, service in services.named().items()}
    of_tasks = {"/api/v1/invitations/link", filled("/api/v1/exports/{export_id}/content")}
    of_mail = {"/api/v1/unsubscribe"}
    assert reached == {
        "auth": open_to_all - of_tasks,
        "tasks": of_tasks,
        "notifications": of_mail,
        "attachments": set(),
    }


async def test_a_path_below_a_public_one_is_not_public(api, is_refused, services):
    for path in ("/api/v1/auth/login/x", "/api/v1/auth/Login", "/api/v1/auth/logins"):
        is_refused(await api.post(path), 401, "UNAUTHENTICATED")
    assert services.auth.requests == []
