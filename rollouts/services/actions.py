"""What the wire shows of an action: deployment, cancel and installed resources of DDI."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from common.clock import now
from fleet.services.revisions import device_revisions_bump
from fleet.types import DeviceCaller
from models_registry.models import Artifact, Variant
from rollouts.errors import ActionNotFoundError
from rollouts.models import Action, ActionFeedback, ActionKind, ActionState, Deployment
from rollouts.policy.transitions import ROLLOUT_OFFERING
from rollouts.policy.types import policy_from
from rollouts.services.locks import device_lock

HISTORY_MAX: Final = 100
MODEL_FILE: Final = "model.onnx"
MANIFEST_FILE: Final = "manifest.json"
REMOVE: Final = "remove"  # on the wire, a restore of a device's first model: nothing ran before it


@dataclass(frozen=True)
class Client:
    """What matters about who asks.

    Args:
        caller: the device.
        takes_one_file: rauc-hawkbit-updater closes a deployment of more than one artifact as a failure.
    """

    caller: DeviceCaller
    takes_one_file: bool = False


def deployment_resource(client: Client, *, number: int, history: int) -> dict[str, Any]:
    """The body of ``deploymentBase/{number}``; marks the action as retrieved. From then on it stays visible.

    Raises:
        ActionNotFoundError: unknown, another device's, closed, being cancelled, or not offered any more.
    """
    caller = client.caller
    with transaction.atomic():
        device = device_lock(caller.device_id, caller.organization_id)
        action = _action_for(caller, number) if device is not None else None
        if action is None or action.state != ActionState.OPEN:
            raise ActionNotFoundError("There is no such open action for this device.")
        if action.retrieved_at is None:
            rollout = action.deployment.rollout
            is_offered = rollout.state in ROLLOUT_OFFERING and action.deployment.wave <= rollout.released_wave
            if action.kind == ActionKind.INSTALL and not is_offered:
                raise ActionNotFoundError("The rollout of this action is paused or halted.")
            Action.objects.filter(pk=action.pk).update(retrieved_at=now())
            device_revisions_bump(device_ids=[caller.device_id])
    return {"id": str(number), "deployment": _deployment(client, action), **_history(action, history)}


def cancel_resource(caller: DeviceCaller, *, number: int) -> dict[str, Any]:
    """The body of ``cancelAction/{number}``.

    Raises:
        ActionNotFoundError: nothing is being cancelled under this number.
    """
    action = _action_for(caller, number)
    if action is None or action.state != ActionState.CANCELLING:
        raise ActionNotFoundError("No action of this device is being cancelled under this number.")
    return {"id": str(number), "cancelAction": {"stopId": str(number)}}


def installed_resource(client: Client, *, number: int, history: int) -> dict[str, Any]:
    """The body of ``installedBase/{number}``.

    Raises:
        ActionNotFoundError: the action is still active, was cancelled, or is not this device's.
    """
    action = _action_for(client.caller, number)
    if action is None or action.state != ActionState.CLOSED or action.result != "success":
        raise ActionNotFoundError("No action of this device ended well under this number.")
    return {"id": str(number), "deployment": _deployment(client, action), **_history(action, history)}


def _action_for(caller: DeviceCaller, number: int) -> Action | None:
    return (
        Action.objects.select_related(
            "variant__artifact", "variant__manifest", "variant__version__model", "deployment__rollout__version__model"
        )
        .filter(device_id=caller.device_id, device__organization_id=caller.organization_id, number=number)
        .first()
    )


def _history(action: Action, wanted: int) -> dict[str, Any]:
    """Newest first; 0 none, negative as many as there are, at most 100 (hawkBit)."""
    if wanted == 0:
        return {}
    limit = HISTORY_MAX if wanted < 0 else min(wanted, HISTORY_MAX)
    rows = ActionFeedback.objects.filter(action=action).order_by("-id")[:limit]
    messages = [line for row in rows for line in (row.details or [row.execution])][:limit]
    return {"actionHistory": {"status": action.deployment.state.upper(), "messages": messages}}


def _deployment(client: Client, action: Action) -> dict[str, Any]:
    deployment: Deployment = action.deployment
    policy = policy_from(deployment.rollout.policy)
    model = deployment.rollout.version.model
    is_restore = action.kind == ActionKind.RESTORE
    variant = action.variant
    metadata = {
        # A removal has a word of its own: a client must never take missing files for one.
        "flotilla.kind": REMOVE if variant is None else action.kind,
        "flotilla.digest": action.payload_digest,
        # Going back to what ran before needs no probation.
        "flotilla.soak_s": "0" if is_restore else f"{policy.soak_s:g}",
        "flotilla.shadow_every": "0"
        if is_restore or deployment.previous_variant_id is None
        else str(policy.shadow_every),
    }
    artifacts: list[dict[str, Any]] = []
    version = ""
    if variant is not None:
        version = variant.version.version
        target = f"{model.name}/{version}/{variant.name}"
        metadata["flotilla.target.model"] = f"{target}/{MODEL_FILE}"
        metadata["flotilla.target.manifest"] = f"{target}/{MANIFEST_FILE}"
        artifacts = [_artifact(client.caller, variant, MODEL_FILE, variant.artifact)]
        if variant.manifest is not None and not client.takes_one_file:
            artifacts.append(_artifact(client.caller, variant, MANIFEST_FILE, variant.manifest))
    chunk = {
        "part": "model",
        "name": model.name,
        "version": version,
        "artifacts": artifacts,
        "metadata": [{"key": key, "value": value} for key, value in metadata.items()],
    }
    # "skip" is never said: SWUpdate reports a skipped update as installed.
    return {"download": "forced", "update": "forced", "chunks": [chunk]}


def _artifact(caller: DeviceCaller, variant: Variant, name: str, artifact: Artifact) -> dict[str, Any]:
    href = f"{base_href(caller)}/softwaremodules/{variant.public_id}/artifacts/{name}"
    link = "download" if href.startswith("https:") else "download-http"
    hashes = {"sha1": artifact.sha1, "sha256": artifact.sha256}
    if artifact.md5:
        hashes["md5"] = artifact.md5
    # Clients prefer "download" and follow either; where the door has no TLS both name the same address.
    links = {
        link: {"href": href},
        "download": {"href": href},
        f"md5sum{link.removeprefix('download')}": {"href": f"{href}.MD5SUM"},
    }
    return {"filename": name, "size": artifact.size_bytes, "hashes": hashes, "_links": links}


def base_href(caller: DeviceCaller) -> str:
    """The device's DDI resource; made of ``DEVICE_URL``, never of a request's Host."""
    return f"{settings.DEVICE_URL}/{caller.tenant}/controller/v1/{caller.controller_id}"


def deployment_href(caller: DeviceCaller, number: int, revision: int) -> str:
    """The link to an action; ``c`` changes when the payload may have."""
    return f"{base_href(caller)}/deploymentBase/{number}?c={revision}"


def payload_revision(created_at: datetime) -> int:
    """A positive 31-bit number for ``c``: an action's payload never changes, so its birth will do."""
    return int(created_at.timestamp()) % 2**31
