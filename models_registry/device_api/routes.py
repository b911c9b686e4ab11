"""Where devices fetch signed metadata (``docs/protocol/device.md``, section 3)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from common.bridge import bridge
from common.errors import NotFoundError
from fleet.device_api.authentication import authenticate_device
from models_registry.selectors import trust_metadata


async def metadata(request: Request) -> Response:
    """A TUF metadata file. It proves itself by its signature; the token only says whose repository is meant."""
    caller = authenticate_device(request)
    filename = request.path_params["file"]
    content = await bridge.run(trust_metadata, caller.organization_id, filename)
    if content is None:
        raise NotFoundError("There is no such metadata file.")
    # Numbered files never change; the others change with every approval.
    is_numbered = filename[0].isdigit()
    return Response(
        content,
        media_type="application/json",
        headers={
            "Cache-Control": "private, max-age=86400, immutable" if is_numbered else "no-cache",
            "X-Content-Type-Options": "nosniff",
        },
    )


device_routes: list[Route] = [
    Route("/{tenant}/agent/v1/{cid}/metadata/{file}", metadata, methods=["GET"]),
]
