"""Asks two services about a request, one after the other: who the user is, and which plan that user has."""

import json

import proxy_wasm
from proxy_wasm import Action, HttpContext


class Request(HttpContext):
    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        token = self.request_headers.get("authorization") or b""
        session = await self.fetch("sessions", "/whoami", headers={"authorization": token}, timeout=0.5)
        if session.status != 200:
            return self.send_response(401, body="who are you?\n")
        user: str = json.loads(session.body)["user"]
        account = await self.fetch("accounts", f"/plans/{user}", timeout=0.5)
        if account.status != 200:
            return self.send_response(403, body=f"{user} has no plan\n")
        self.request_headers["x-user"] = user
        self.request_headers["x-plan"] = json.loads(account.body)["plan"]
        return None


class Plugin(proxy_wasm.RootContext):
    http_context = Request
    failure_policy = proxy_wasm.FailurePolicy.CLOSE


proxy_wasm.register(Plugin)
