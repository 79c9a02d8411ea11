"""How the state machine, which is no coroutine, asks the service; and the place that each of its examples has."""

import asyncio

import httpx2
from chassis.db.engine import open_database
from chassis.web.health import Health
from sqlalchemy import text
from tasks_service.main import create_app

ROLES = {"owner": "owner", "member": "member", "editor": "guest", "viewer": "guest"}
SETUP = (
    "INSERT INTO tasks.workspace VALUES (:w, 'W', NULL, :owner, 1, now(), now())",
    "INSERT INTO tasks.change_counter VALUES (:w, 0)",
    *(f"INSERT INTO tasks.member VALUES (uuidv7(), :w, :{who}, '{role}', 1, 1, now())" for who, role in ROLES.items()),  # noqa: S608 - names of our own
    (
        "INSERT INTO tasks.project"
        " (id, workspace_id, name, prefix, is_inbox, created_by, version, created_at, updated_at)"
        " VALUES (:p, :w, 'P', 'P', false, :owner, 1, now(), now())"
    ),
    *(
        f"INSERT INTO tasks.project_member VALUES (uuidv7(), :w, :p, :{role}, '{role}', 1, now())"  # noqa: S608 - names of our own
        for role in ("editor", "viewer")
    ),
    (
        "INSERT INTO tasks.status"
        " (id, workspace_id, project_id, key, name, category, position, version, created_at, updated_at)"
        " VALUES (uuidv7(), :w, :p, 'shipped', 'Shipped', 'done', 'a5V', 1, now(), now())"
    ),
)


class Service:
    """The service with its database, and a loop of its own to ask it in: the machine is no coroutine."""

    def __init__(self, service_settings, database_settings, gateway):
        self.gateway = gateway
        # With a factory the runner leaves the loop of the other tests alone.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._database = open_database(database_settings, application_name="tasks-state-machine")
        app = create_app(service_settings, database=self._database, health=Health())
        # Not held against the document, as all other tests are: that would take most of the time.
        self._client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://tasks")

    def ask(self, method, path, *, body, headers):
        return self._runner.run(self._client.request(method, f"/api/v1{path}", json=body, headers=headers))

    def rows(self, *statements, **parameters):
        return self._runner.run(self._rows(statements, parameters))

    async def _rows(self, statements, parameters):
        async with self._database.writer.begin() as connection:
            for statement in statements:
                wanted = {name: value for name, value in parameters.items() if f":{name}" in statement}
                result = await connection.execute(text(statement), wanted)
            return result.all() if result.returns_rows else []

    def close(self):
        self._runner.run(self._client.aclose())
        self._runner.run(self._database.close())
        self._runner.close()
