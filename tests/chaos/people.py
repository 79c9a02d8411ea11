"""Who writes and reads: some people in one workspace."""

import asyncio
import json
import re
import secrets
from dataclasses import dataclass

import httpx2
from testkit.waiting import eventually

PASSWORD = "violet-harbor-77"
CONFIRMING = re.compile(r'^\{"token".*\}', re.MULTILINE)
INVITING = re.compile(r'{"token".*?}')


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in."""

    id: str
    email: str
    headers: dict[str, str]


class Door:
    """Signs people up, and lets them into a workspace."""

    def __init__(self, url, mail_url):
        self.client = httpx2.AsyncClient(base_url=f"{url}/api/v1", timeout=30, trust_env=False)
        self.mail = httpx2.AsyncClient(base_url=mail_url, timeout=30, trust_env=False)

    async def close(self):
        await self.client.aclose()
        await self.mail.aclose()

    async def sign_up(self):
        credentials = {"email": f"{secrets.token_hex(8)}@example.com", "password": PASSWORD}
        (await self.client.post("/auth/register", json={**credentials, "display_name": "Chaos"})).raise_for_status()
        token = json.loads(CONFIRMING.search(await self._mailed(credentials["email"], "verify-email"))[0])
        (await self.client.post("/auth/verify-email", json=token)).raise_for_status()
        found = (await self.client.post("/auth/login", json=credentials)).raise_for_status().json()["data"]
        headers = {"authorization": f"Bearer {found['access_token']}"}
        return Person(found["user"]["id"], credentials["email"], headers)

    async def workspace_of(self, owner, *members):
        """Make a workspace in which these are members, and a project in it; return both ids."""
        made = await self.client.post("/workspaces", json={"name": "Chaos"}, headers=owner.headers)
        workspace = made.raise_for_status().json()["data"]["id"]
        await asyncio.gather(*(self._let_in(workspace, owner, one) for one in members))
        place = {"name": "Work", "workspace_id": workspace}
        project = await self.client.post("/projects", json=place, headers=owner.headers)
        return workspace, project.raise_for_status().json()["data"]["id"]

    async def _let_in(self, workspace, owner, member):
        body, path = {"email": member.email, "role": "member"}, f"/workspaces/{workspace}/invitations"
        (await self.client.post(path, json=body, headers=owner.headers)).raise_for_status()
        token = json.loads(INVITING.search(await self._mailed(member.email, "/invitations/accept"))[0])

        async def accepted():
            # That the address is confirmed is known to the tasks service a moment later.
            answer = await self.client.post("/invitations/accept", json=token, headers=member.headers)
            return answer.status_code == 200

        await eventually(accepted)

    async def _mailed(self, address, about):
        async def arrived():
            listed = (await self.mail.get("/api/messages")).json()
            ids = [one["id"] for one in listed if address in one["to"]]
            mails = [(await self.mail.get(f"/api/messages/{one}")).json() for one in ids]
            return next((mail["text"] for mail in mails if about in mail["text"]), None)

        return await eventually(arrived)
