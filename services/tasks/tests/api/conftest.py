"""What tests of shared work begin with."""

import pytest
from chassis.ids import uuid7

PROJECTS = "/api/v1/projects"


@pytest.fixture
def team(api, rows, test_gateway):
    """A shared workspace with an owner, two members and a guest."""

    class Team:
        def __init__(self):
            self.id = str(uuid7())
            self.users = {name: uuid7() for name in ("owner", "ann", "bob", "guest", "stranger")}

        def headers(self, name):
            return test_gateway.headers(self.users[name])

        async def project(self, by="owner", **fields):
            body = {"name": "P", "workspace_id": self.id, **fields}
            answer = await api.post(PROJECTS, json=body, headers=self.headers(by))
            assert answer.status_code == 201, answer.text
            return answer.json()["data"]

        async def task(self, project, by="owner", **fields):
            body = {"title": "t", "project_id": project["id"], **fields}
            answer = await api.post("/api/v1/tasks", json=body, headers=self.headers(by))
            assert answer.status_code == 201, answer.text
            return answer.json()["data"]

        async def patch(self, project, by="owner", **fields):
            return await api.patch(f"{PROJECTS}/{project['id']}", json=fields, headers=self.headers(by))

        async def get(self, project, by="owner"):
            return await api.get(f"{PROJECTS}/{project['id']}", headers=self.headers(by))

    async def make():
        made = Team()
        await rows(
            "INSERT INTO tasks.workspace (id, name, created_by, version, created_at, updated_at)"
            " VALUES (:id, 'W', :owner, 1, now(), now())",
            id=made.id,
            owner=made.users["owner"],
        )
        await rows("INSERT INTO tasks.change_counter VALUES (:id, 0)", id=made.id)
        for name, role in (("owner", "owner"), ("ann", "member"), ("bob", "member"), ("guest", "guest")):
            await rows(
                "INSERT INTO tasks.member VALUES (uuidv7(), :id, :user, :role, 1, 1, now())",
                id=made.id,
                user=made.users[name],
                role=role,
            )
        return made

    return make
