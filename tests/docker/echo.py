"""An ASGI application that answers with what it was asked: what nginx passed on, that is."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


async def _echo(request: Request) -> JSONResponse:
    received = 0
    async for part in request.stream():
        received += len(part)
    return JSONResponse(
        {
            "path": request.url.path,
            "headers": [[name, value] for name, value in request.headers.items()],
            "bytes": received,
        }
    )


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json({"headers": dict(socket.headers)})
    await socket.close()


application = Starlette(
    routes=[
        WebSocketRoute("/ws/live/", _socket),
        Route("/{path:path}", _echo, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]
)
