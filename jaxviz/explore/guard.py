"""Who may ask the explorer: its own page alone, below a token that no one can guess."""

import hmac
import secrets
from typing import Any

from starlette.responses import JSONResponse, Response

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuse requests that are not from our own page, and say in each answer what a page may do."""

    def __init__(self, app: Any, *, hosts: frozenset[str], token: str) -> None:
        """`hosts` are those that the server goes by, each with its port."""
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Look at a request before anyone else does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), text.encode()) for name, text in _HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal:
            await refusal(scope, receive, answer)
            return
        inner = {**scope, "path": scope["path"][len(self._token) + 1 :] or "/", "root_path": ""}
        await self._app(inner, receive, answer)

    def _refusal(self, scope: Any) -> Response | None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = [one.decode("latin-1").lower() for one in headers.get(b"host", [])]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return said("host: this server does not go by that name", 421)
        own = {f"http://{host}" for host in self._hosts}
        origins = [one.decode("latin-1").lower() for one in headers.get(b"origin", [])]
        sites = headers.get(b"sec-fetch-site", [])
        if any(one not in own for one in origins) or b"cross-site" in sites:
            return said("origin: only the explorer's own page may ask", 403)
        first = scope["path"].split("/")[1] if scope["path"].startswith("/") else ""
        if not hmac.compare_digest(first.encode(), self._token.encode()):
            return said("no such page", 404)
        return None


def said(message: str, status: int) -> JSONResponse:
    """A message as JSON, with a status."""
    return JSONResponse({"error": message}, status)


def new_token() -> str:
    """A token for an address."""
    return secrets.token_urlsafe(24)
