"""Paths of the update door (``docs/protocol/device.md``)."""

from __future__ import annotations

from typing import Final

from starlette.routing import Route

from rollouts.device_api import agent, artifacts, ddi

_DDI: Final = "/{tenant}/controller/v1/{cid}"
_MODULE: Final = _DDI + "/softwaremodules/{module}/artifacts"

device_routes: Final = [
    Route(_DDI, ddi.RootPoll(), methods=["GET"]),
    Route(f"{_DDI}/configData", ddi.config_data, methods=["PUT"]),
    Route(f"{_DDI}/deploymentBase/{{number}}", ddi.deployment_base, methods=["GET"]),
    Route(f"{_DDI}/deploymentBase/{{number}}/feedback", ddi.deployment_feedback, methods=["POST"]),
    Route(f"{_DDI}/cancelAction/{{number}}", ddi.cancel_action, methods=["GET"]),
    Route(f"{_DDI}/cancelAction/{{number}}/feedback", ddi.cancel_action_feedback, methods=["POST"]),
    Route(f"{_DDI}/installedBase/{{number}}", ddi.installed_base, methods=["GET"]),
    Route(_MODULE, artifacts.artifacts, methods=["GET"]),
    Route(f"{_MODULE}/{{file}}", artifacts.artifact, methods=["GET"]),
    Route("/{tenant}/agent/v1/{cid}", agent.configuration, methods=["GET"]),
    Route("/{tenant}/agent/v1/{cid}/reports", agent.reports, methods=["POST"]),
]
