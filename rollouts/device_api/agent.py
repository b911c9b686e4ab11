"""Our agent's own resource: how to behave, and where its reports go."""

from __future__ import annotations

from django.conf import settings
from starlette.requests import Request
from starlette.responses import Response

from common.bridge import bridge
from common.clock import now
from fleet.device_api.authentication import authenticate_device
from fleet.device_api.routes import message_read, message_response
from fleet.hot import touch
from flotilla_protocol.messages import AgentConfiguration, AgentLinks, SignedReport
from rollouts.services.evidence import device_report


async def configuration(request: Request) -> Response:
    """``GET /{tenant}/agent/v1/{cid}`` -> ``AgentConfiguration``."""
    caller = authenticate_device(request)
    touch(caller.device_id)
    base = f"{settings.DEVICE_URL}/{caller.tenant}/agent/v1/{caller.controller_id}"
    return message_response(
        AgentConfiguration(
            server_time_ms=int(now().timestamp() * 1000),
            links=AgentLinks(metadata=f"{base}/metadata/", reports=f"{base}/reports", telemetry=f"{base}/telemetry"),
            poll_interval_s=settings.DEVICE_POLL_INTERVAL_S,
            health_interval_s=settings.DEVICE_HEALTH_INTERVAL_S,
            window_interval_s=settings.DEVICE_WINDOW_INTERVAL_S,
            report_interval_s=settings.DEVICE_REPORT_INTERVAL_S,
        )
    )


async def reports(request: Request) -> Response:
    """``POST /{tenant}/agent/v1/{cid}/reports``: ``SignedReport`` -> empty."""
    caller = authenticate_device(request)
    touch(caller.device_id)
    message = await message_read(request, SignedReport)
    await bridge.run(device_report, caller, report=message.report)
    return Response(status_code=200)
