"""From what devices prove to what the ledgers say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.db import transaction

from common.clock import now
from fleet.models import Device, Evidence
from fleet.services.attributes import Mode, device_attributes_update
from fleet.services.events import device_event_append
from fleet.services.installed import installed_model_forget, installed_model_record
from fleet.services.revisions import device_revisions_bump
from fleet.types import DeviceCaller
from flotilla_protocol.errors import ProtocolError
from flotilla_protocol.identity import public_key_from_der, report_verify
from flotilla_protocol.messages import VersionReport
from rollouts import events
from rollouts.errors import ReportRefusedError
from rollouts.models import Action, ActionKind, ActionState, Deployment, DeploymentState
from rollouts.policy.outcomes import Claim, finding_of, is_enough, is_stronger
from rollouts.policy.types import policy_from
from rollouts.services.changes import action_close, deployment_move, deployment_tell
from rollouts.services.locks import device_lock

D = DeploymentState
_JUDGED: Final = (D.PROBATION, D.PROVEN, D.RESTORING)
CONFLICT: Final = "conflict"  # reason code of a deployment whose device runs something else


def device_report(caller: DeviceCaller, *, report: str, at: datetime | None = None) -> None:
    """Take a signed version report: prove, notice a local rollback, or keep a conflict.

    Args:
        caller: the device.
        report: the JWS.
        at: when; None for now.

    Raises:
        ReportRefusedError: not signed by the device's key, about another device, or the device has no key.
    """
    at = at or now()
    with transaction.atomic():
        device = device_lock(caller.device_id, caller.organization_id)
        if device is None or device.public_key is None:
            raise ReportRefusedError("The device has no key to verify a report with.")
        try:
            said = report_verify(report, public_key_from_der(bytes(device.public_key)), device.controller_id)
        except ProtocolError as error:
            raise ReportRefusedError(str(error)) from error
        if said.agent_version != device.agent_version:
            Device.objects.filter(pk=device.pk).update(agent_version=said.agent_version)
        for deployment in _newest_per_model(device.pk):
            _judge_report(deployment, said, at=at)


def device_attributes(
    caller: DeviceCaller, *, values: Mapping[str, str], mode: Mode, at: datetime | None = None
) -> None:
    """Take a device's attributes, and what they say about what runs: ``model.<name>`` is a version or a digest.

    For devices without a key this is the only evidence there is, and counts as observed after the soak. A device that
    can sign proves by reports alone.

    Raises:
        InvalidInputError: the attributes break a bound.
    """
    at = at or now()
    with transaction.atomic():
        after = device_attributes_update(
            organization_id=caller.organization_id, device_id=caller.device_id, values=values, mode=mode
        )
        device = device_lock(caller.device_id, caller.organization_id)
        if device is None or device.public_key is not None:
            return
        for deployment in _newest_per_model(device.pk):
            named = after.get(f"model.{deployment.rollout.version.model.name}")
            if named is not None:
                _judge_named(deployment, named, at=at)


def _newest_per_model(device_id: int) -> list[Deployment]:
    """Of each model the device's newest deployment, where it is one that can still be judged."""
    rows = (
        Deployment.objects.select_related(
            "rollout__version__model", "device", "variant__artifact", "variant__version",
            "previous_variant__artifact", "previous_variant__version",
        )
        .filter(device_id=device_id, installed_at__isnull=False)
        .order_by("-id")[:50]
    )  # fmt: skip
    newest: dict[int, Deployment] = {}
    for row in rows:
        newest.setdefault(row.rollout.version.model_id, row)
    return [row for row in newest.values() if row.state in _JUDGED]


def _last_action(deployment: Deployment, kind: str) -> Action | None:
    return Action.objects.filter(deployment=deployment, kind=kind).order_by("-number").first()


def _judge_report(deployment: Deployment, said: VersionReport, *, at: datetime) -> None:
    model = deployment.rollout.version.model.name
    running = next((entry.digest for entry in said.running if entry.model == model), "")
    previous = deployment.previous_variant.artifact.sha256 if deployment.previous_variant else ""
    install = _last_action(deployment, ActionKind.INSTALL)
    asked = install.number if install is not None else 0
    if deployment.variant is None or deployment.installed_at is None:
        return
    if deployment.state == D.RESTORING:
        if running == previous and said.action_number >= asked:
            _restored(deployment, at=at)
        return
    finding = finding_of(
        Claim(
            running_digest=running,
            wanted_digest=deployment.variant.artifact.sha256,
            previous_digest=previous,
            is_about_action=said.action_number >= asked,
            self_test=said.self_test,
            soak_clean=said.soak.clean,
            soak_seconds=said.soak.seconds,
            elapsed_s=(at - deployment.installed_at).total_seconds(),
            soak_s=policy_from(deployment.rollout.policy).soak_s,
        )
    )
    if finding == "conflict":
        _conflict(deployment, running, at=at)
    elif finding == "taken_back":
        if deployment.state == D.PROBATION:
            _taken_back(deployment, at=at)
        else:
            _conflict(deployment, running, at=at)
    elif finding != "claimed":
        _proved(deployment, finding, at=at)


def _judge_named(deployment: Deployment, named: str, *, at: datetime) -> None:
    variant, previous = deployment.variant, deployment.previous_variant
    if variant is None or deployment.installed_at is None:
        return
    if deployment.state == D.RESTORING:
        # After a removal the device must say that nothing runs; naming nothing at all says nothing.
        if named in ({""} if previous is None else {previous.version.version, previous.artifact.sha256}):
            _restored(deployment, at=at)
        return
    if named not in {variant.version.version, variant.artifact.sha256}:
        _conflict(deployment, named, at=at)
    elif (at - deployment.installed_at).total_seconds() >= policy_from(deployment.rollout.policy).soak_s:
        _proved(deployment, "observed", at=at)


def _proved(deployment: Deployment, evidence: str, *, at: datetime) -> None:
    variant = deployment.variant
    assert variant is not None
    if not is_stronger(evidence, deployment.evidence):
        return
    Deployment.objects.filter(pk=deployment.pk).update(evidence=evidence)
    deployment.evidence = evidence
    policy = policy_from(deployment.rollout.policy)
    if is_enough(evidence, policy.evidence_required):
        if deployment.state == D.PROBATION:
            deployment_move(deployment, D.PROVEN, at=at, proven_at=at, retry_at=None)
        else:
            deployment_tell(deployment, at=at)
        installed_model_record(
            device_id=deployment.device_id,
            model_name=deployment.rollout.version.model.name,
            version=variant.version.version,
            digest=variant.artifact.sha256,
            evidence=Evidence(evidence),
            since=deployment.installed_at,
        )
        device_revisions_bump(device_ids=[deployment.device_id])


def _taken_back(deployment: Deployment, *, at: datetime) -> None:
    """The device went back by itself, in probation."""
    deployment_move(deployment, D.FAILED, at=at, reason="runtime_error", evidence="", retry_at=None)
    device = deployment.device
    events.rollout_event_append(
        rollout=deployment.rollout,
        kind="deployment.failed",
        text=f"{device.controller_id} went back by itself: runtime_error",
        at=at,
        data={"device": str(device.public_id), "reason_code": "runtime_error"},
    )


def _conflict(deployment: Deployment, running: str, *, at: datetime) -> None:
    """The device runs what no plan gave it. Kept once; it stays claimed and never counts."""
    if deployment.reason_code == CONFLICT:
        return
    Deployment.objects.filter(pk=deployment.pk).update(reason_code=CONFLICT)
    rollout, device = deployment.rollout, deployment.device
    wanted = f"{rollout.version.model.name} {rollout.version.version}"
    what = f"runs {running[:12]}" if running else "runs no version of it"
    device_event_append(
        device_id=device.pk,
        kind=events.CONFLICT,
        at=at,
        reference_kind="rollout",
        reference_id=rollout.public_id,
        data={"text": f"Conflict: {wanted} was asked for, the device {what}", "running": running},
    )
    events.rollout_event_append(
        rollout=rollout,
        kind="deployment.conflict",
        text=f"{device.controller_id} {what}, not {wanted}",
        at=at,
        data={"device": str(device.public_id), "running": running},
    )


def _restored(deployment: Deployment, *, at: datetime) -> None:
    """The device is back on what ran before."""
    pending = Action.objects.filter(deployment=deployment).exclude(state=ActionState.CLOSED).first()
    if pending is not None:
        action_close(pending, "success", at=at)
    deployment_move(deployment, D.ROLLED_BACK, at=at, retry_at=None)
    model = deployment.rollout.version.model.name
    previous = deployment.previous_variant
    if previous is None:
        installed_model_forget(device_id=deployment.device_id, model_name=model)
    else:
        installed_model_record(
            device_id=deployment.device_id,
            model_name=model,
            version=previous.version.version,
            digest=previous.artifact.sha256,
            evidence=Evidence.ATTESTED if deployment.device.public_key else Evidence.OBSERVED,
            since=at,
        )
    device_revisions_bump(device_ids=[deployment.device_id])
