"""Why a device is, or is not, on a version."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from common.clock import now
from fleet.policy.contact import is_online
from fleet.selectors import device_for
from governance.types import Caller
from insights.policy.why import Answer, DeploymentFacts, Facts, RolloutFacts, explain
from models_registry.selectors import version_for

# The newest rollout of the version that has this device; else the newest that has started or may start.
_ROLLOUT: Final = """
SELECT r.id, r.public_id::text, r.name, r.state, r.released_wave, coalesce(r.halt_reason->>'text', ''),
       d.state, d.wave, d.reason_code, d.evidence, d.retry_at, d.installed_at IS NOT NULL
FROM rollouts_rollout r LEFT JOIN rollouts_deployment d ON d.rollout_id = r.id AND d.device_id = %(device)s
WHERE r.organization_id = %(organization)s AND r.version_id = %(version)s
ORDER BY d.id IS NULL, r.id DESC LIMIT 1
"""
_NEWEST_VERSION: Final = """
SELECT v.public_id FROM rollouts_deployment d
JOIN rollouts_rollout r ON r.id = d.rollout_id JOIN models_registry_modelversion v ON v.id = r.version_id
WHERE d.device_id = %(device)s AND r.organization_id = %(organization)s
ORDER BY d.id DESC LIMIT 1
"""
_GATE: Final = """
SELECT text FROM (
    SELECT DISTINCT ON (gate) verdict, text FROM rollouts_gateresult
    WHERE rollout_id = %(rollout)s AND wave = %(wave)s ORDER BY gate, at DESC
) newest WHERE verdict <> 'pass' AND text <> '' LIMIT 1
"""


def device_why(*, caller: Caller, device_id: UUID, version_id: UUID | None) -> dict[str, Any]:
    """The answer as in ``docs/api/README.md`` (``devices/{id}/why/``).

    Args:
        caller: who asks.
        device_id: about which device.
        version_id: about which version; None for that of the device's newest deployment.

    Raises:
        DeviceNotFoundError: no such device in the caller's organization.
        NotFoundError: no such version there.
    """
    device = device_for(caller=caller, device_id=device_id)
    parameters = {"organization": caller.organization_id, "device": device.pk}
    with connection.cursor() as cursor:
        if version_id is None:
            cursor.execute(_NEWEST_VERSION, parameters)
            row = cursor.fetchone()
            if row is None:
                return {"target": None, "is_on_target": False, "steps": [], "next": None}
            version_id = row[0]
        assert version_id is not None
        version = version_for(caller=caller, version_id=version_id)
        cursor.execute(_ROLLOUT, {**parameters, "version": version.pk})
        row = cursor.fetchone()
        rollout = RolloutFacts(*row[1:6]) if row else None
        deployment = DeploymentFacts(*row[6:]) if row and row[6] is not None else None
        gate_text = ""
        if row and rollout and rollout.released_wave:
            cursor.execute(_GATE, {"rollout": row[0], "wave": rollout.released_wave})
            gate = cursor.fetchone()
            gate_text = gate[0] if gate else ""
    installed = next((model for model in device.installed_models.all() if model.model_name == version.model.name), None)
    answer = explain(
        Facts(
            device_state=device.state,
            is_online=is_online(device.last_seen_at, at=now(), poll_interval_s=settings.DEVICE_POLL_INTERVAL_S),
            model=version.model.name,
            version=version.version,
            version_id=str(version.public_id),
            version_state=version.state,
            approval=version.approval,
            rollout=rollout,
            deployment=deployment,
            runs=installed.version if installed else None,
            gate_text=gate_text,
        )
    )
    return _as_json(answer, model=version.model.name, version=version.version, rollout=rollout)


def _as_json(answer: Answer, *, model: str, version: str, rollout: RolloutFacts | None) -> dict[str, Any]:
    return {
        "target": {"model": model, "version": version, "rollout_id": rollout.id if rollout else None},
        "is_on_target": answer.is_on_target,
        "steps": [asdict(step) for step in answer.steps],
        "next": asdict(answer.next) if answer.next else None,
    }
