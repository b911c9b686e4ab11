"""Approval: people agree, and the server signs. Nothing rolls out without it."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from common.clock import now
from governance.models import Role
from governance.services.audit import audit_write
from governance.types import Caller
from models_registry.errors import InvalidTransitionError
from models_registry.events import publish_version
from models_registry.models import Approval, ModelVersion, Variant
from models_registry.policy.transitions import approval_next
from models_registry.selectors import target_path, version_for
from models_registry.services.trust import SignedTarget, targets_add


def approval_request(*, caller: Caller, version_id: UUID, reason: str = "") -> ModelVersion:
    """Ask for approval of a ready version.

    Raises:
        NotPermittedError: the caller is no operator.
        NotFoundError: no such version.
        InvalidTransitionError: it is not ready, or was asked for or approved already.
    """
    caller.require(Role.OPERATOR)
    return _move(caller, version_id, "request", reason)


def approval_decline(*, caller: Caller, version_id: UUID, reason: str = "") -> ModelVersion:
    """Say no. It may be asked for again.

    Raises:
        NotPermittedError: the caller is no administrator.
        NotFoundError: no such version.
        InvalidTransitionError: nobody asked.
    """
    caller.require(Role.ADMINISTRATOR)
    return _move(caller, version_id, "decline", reason)


def approval_grant(*, caller: Caller, version_id: UUID, reason: str = "") -> ModelVersion:
    """Approve a version and sign its files as TUF targets, in one transaction.

    Raises:
        NotPermittedError: the caller is no administrator.
        NotFoundError: no such version.
        InvalidTransitionError: it is not ready, or nobody asked.
        KeyUnavailableError: the server cannot sign; nothing was changed.
    """
    caller.require(Role.ADMINISTRATOR)
    return _move(caller, version_id, "approve", reason)


def _move(caller: Caller, version_id: UUID, event: str, reason: str) -> ModelVersion:
    version = version_for(caller=caller, version_id=version_id)
    after = approval_next(version.state, version.approval, event)
    decided = {"approved_by_id": caller.user_id, "approved_at": now()} if event != "request" else {}
    with transaction.atomic():
        moved = ModelVersion.objects.filter(pk=version.pk, state=version.state, approval=version.approval).update(
            approval=after, approval_reason=reason, **decided
        )
        if not moved:
            raise InvalidTransitionError("Somebody else was faster; read the version again.")
        version.refresh_from_db()
        if after == Approval.APPROVED:
            targets_add(organization_id=version.organization_id, targets=_targets(version))
        audit_write(
            organization_id=version.organization_id,
            actor=caller.actor,
            action=f"version.{event}",
            object_kind="version",
            object_id=str(version.public_id),
            reason=reason,
            data={"model": version.model.name, "version": version.version},
        )
        publish_version(version)
    return version


def _targets(version: ModelVersion) -> list[SignedTarget]:
    """The files of every variant under their target paths."""
    targets: list[SignedTarget] = []
    for variant in Variant.objects.filter(version=version).select_related("artifact", "manifest"):
        for name, artifact in (("model.onnx", variant.artifact), ("manifest.json", variant.manifest)):
            if artifact is None:
                raise InvalidTransitionError(f"The variant {variant.name} has no {name}; validate the version again.")
            path = target_path(version.model.name, version.version, variant.name, name)
            targets.append(SignedTarget(path=path, size_bytes=artifact.size_bytes, sha256=artifact.sha256))
    if not targets:
        raise InvalidTransitionError("The version has no variant to sign.")
    return targets
