"""Validating a version: sandbox, evaluation, reference profile, variant, manifest.

May die at any line and be run again: the version stays ``validating``, bytes are content-addressed, and the rows are
written in one transaction at the end, on the condition that the version is still being validated.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from common.clock import now
from common.models import Job, JobState
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.manifest import Manifest, manifest_decode, manifest_encode
from governance.services.audit import audit_write
from governance.types import SYSTEM, Actor
from models_registry.errors import ModelRejectedError
from models_registry.events import publish_version
from models_registry.models import Artifact, ModelVersion, ReferenceProfile, Variant, VersionState
from models_registry.policy.transitions import states_before
from models_registry.services.artifacts import artifact_fetch, artifact_store_bytes
from models_registry.services.sandbox import sandbox_run, version_limits

Progress = Callable[[float, str], None]

VARIANT_NAME = "fp32"
_MODEL_BYTES_MAX = 2_000_000_000
_SWEEP_LIMIT = 200


def version_validate(*, organization_id: int, version_id: UUID, actor: Actor, progress: Progress) -> str:
    """Validate a version and make its first variant. Idempotent; outside any transaction.

    Args:
        organization_id: whose version.
        version_id: its public id.
        actor: who to name in the audit log: the job.
        progress: called with a ratio of 0 to 1 (below 0: unchanged) and a few words; what it raises ends the work.

    Returns:
        The state it is in afterwards; a version that needs no validation any more is left alone.

    Raises:
        StoreUnavailableError, SandboxUnavailableError: worth another try; the version stays ``validating``.
        ObjectMissingError: the stored bytes are gone.
    """
    versions = ModelVersion.objects.select_related("model", "source", "evaluation_set__artifact")
    version = versions.filter(organization_id=organization_id, public_id=version_id).first()
    if version is None:
        return "deleted"
    with transaction.atomic():
        moved = ModelVersion.objects.filter(pk=version.pk, state__in=states_before("validate")).update(
            state=VersionState.VALIDATING
        )
        if not moved:
            return str(version.state)
        version.state = VersionState.VALIDATING
        publish_version(version)
    try:
        found = _look(version, progress)
        manifest, body = _manifest(version, found)
    except ModelRejectedError as error:
        _refuse(version, actor, error.error_code, error.text)
        return VersionState.INVALID
    progress(0.95, "storing the manifest")
    artifact = artifact_store_bytes(organization_id=organization_id, body=body, media_type="application/json")
    return VersionState.READY if _pass(version, actor, found, manifest, artifact) else str(version.state)


def _look(version: ModelVersion, progress: Progress) -> dict[str, Any]:
    """Fetch the bytes and let the sandbox look at them."""
    source, evaluation_set = version.source, version.evaluation_set
    assert evaluation_set is not None  # publishing demands one
    if source.size_bytes > _MODEL_BYTES_MAX:
        raise ModelRejectedError(
            f"The file has {source.size_bytes} bytes; the format ends at {_MODEL_BYTES_MAX}.", code="absurd_size"
        )
    with TemporaryDirectory(prefix="flotilla-validation-") as folder:
        model, rows = Path(folder) / "model.onnx", Path(folder) / "evaluation.npz"
        progress(0.02, "fetching the files")
        artifact_fetch(artifact=source, target=model)
        artifact_fetch(artifact=evaluation_set.artifact, target=rows)
        limits = version_limits(model_bytes=source.size_bytes, evaluation_bytes=evaluation_set.artifact.size_bytes)
        return sandbox_run(
            "version", {"model": str(model), "evaluation_set": str(rows)}, limits=limits, on_progress=progress
        )


def _manifest(version: ModelVersion, found: dict[str, Any]) -> tuple[Manifest, bytes]:
    """The manifest as devices get it, checked as they check it: the sandbox's word alone is not believed."""
    document = {
        "model": version.model.name,
        "version": version.version,
        "variant": VARIANT_NAME,
        "digest": version.source.sha256,
        "inputs": found["inspection"]["inputs"],
        "outputs": found["inspection"]["outputs"],
        **{name: found[name] for name in ("labels", "scores", "self_test", "profile")},
    }
    try:
        body = manifest_encode(msgspec.convert(document, Manifest))
        return manifest_decode(body), body
    except (msgspec.ValidationError, InvalidMessageError, KeyError) as error:
        raise ModelRejectedError(
            f"The model's description does not fit into a manifest: {error}", code="manifest_invalid"
        ) from error


def _pass(version: ModelVersion, actor: Actor, found: dict[str, Any], manifest: Manifest, artifact: Artifact) -> bool:
    """Write down what was found; False if somebody else has settled the version meanwhile."""
    inspection, evaluation = found["inspection"], found["evaluation"]
    profile = msgspec.to_builtins(manifest.profile)
    with transaction.atomic():
        moved = ModelVersion.objects.filter(pk=version.pk, state__in=states_before("pass")).update(
            state=VersionState.READY,
            state_reason=None,
            inputs=inspection["inputs"],
            outputs=inspection["outputs"],
            details={
                **{key: inspection[key] for key in ("format", "opset", "ir_version", "producer", "operators")},
                "labels": manifest.labels,
                "size_bytes": version.source.size_bytes,
                "sandbox": found["confined"],
            },
            evaluation=evaluation,
        )
        version.refresh_from_db()
        if not moved:
            return False
        Variant.objects.update_or_create(
            version=version,
            name=VARIANT_NAME,
            defaults={
                "organization_id": version.organization_id,
                "artifact": version.source,
                "manifest": artifact,
                # The first variant is its own parent: it agrees with itself by definition.
                "measured": {
                    **{key: evaluation[key] for key in ("accuracy", "latency_ms_p50", "latency_ms_p95")},
                    "agreement_ratio": 1.0,
                },
                "created_at": now(),
            },
        )
        ReferenceProfile.objects.update_or_create(
            version=version,
            defaults={"profile": profile, "row_count": evaluation["row_count"], "created_at": now()},
        )
        _audit(version, actor, "version.ready", {"accuracy": evaluation["accuracy"]})
        publish_version(version)
    return True


def _refuse(version: ModelVersion, actor: Actor, code: str, text: str) -> bool:
    with transaction.atomic():
        moved = ModelVersion.objects.filter(pk=version.pk, state__in=states_before("refuse")).update(
            state=VersionState.INVALID, state_reason={"code": code, "text": text}
        )
        version.refresh_from_db()
        if moved:
            _audit(version, actor, "version.invalid", {"code": code})
            publish_version(version)
    return bool(moved)


def _audit(version: ModelVersion, actor: Actor, action: str, data: dict[str, Any]) -> None:
    audit_write(
        organization_id=version.organization_id,
        actor=actor,
        action=action,
        object_kind="version",
        object_id=str(version.public_id),
        data=data,
    )


def versions_settle(*, kind: str) -> int:
    """Settle versions whose job ended without a verdict (its worker died each time, or somebody cancelled it).

    They become ``invalid`` with the job's reason, so that nothing waits forever; deleting them frees the number. For
    the periodic task; idempotent. Returns how many were settled.
    """
    settled = 0
    waiting = ModelVersion.objects.filter(state__in=states_before("refuse")).select_related("model").order_by("id")
    for version in waiting[:_SWEEP_LIMIT]:
        job = Job.objects.filter(kind=kind, subject_id=version.public_id).order_by("-id").first()
        if job is None or job.state not in {JobState.FAILED, JobState.CANCELLED}:
            continue
        code = "cancelled" if job.state == JobState.CANCELLED else job.error_code or "failed"
        text = job.error_text or "Its validation was cancelled."
        settled += _refuse(version, SYSTEM, code, text)
    return settled
