"""Models, evaluation sets and versions: made, published, taken away."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from common.clock import now
from common.errors import InvalidInputError
from common.jobs.service import job_enqueue
from governance.models import Role
from governance.services.audit import audit_write
from governance.types import Caller
from models_registry.errors import InvalidTransitionError, ModelRejectedError, NameTakenError
from models_registry.events import publish_version
from models_registry.models import (
    Approval,
    Artifact,
    EvaluationSet,
    Model,
    ModelVersion,
    Replica,
    Upload,
    Variant,
    VersionState,
)
from models_registry.policy.transitions import DELETABLE_STATES
from models_registry.selectors import evaluation_set_for, model_for, model_named, version_for
from models_registry.services.artifacts import artifact_fetch, artifact_forget
from models_registry.services.sandbox import EVALUATION_SET_LIMITS, sandbox_run
from models_registry.services.uploads import upload_artifact

VALIDATE_JOB = "models_registry.validate"
EVALUATION_SET_MAX_BYTES = 256_000_000  # packed

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
# Names and versions are parts of TUF target paths and of file names on devices.
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_TEXT_MAX = 4_000
_LINEAGE_KEYS = ("code", "data", "run", "text")
_LINEAGE_MAX = 500


def model_create(*, caller: Caller, name: str, description: str = "") -> Model:
    """Begin a line of versions.

    Args:
        caller: an operator.
        name: 1 to 64 of ``a-z 0-9 _ -``, beginning and ending with a letter or digit.
        description: for people.

    Raises:
        NotPermittedError: the caller is no operator.
        InvalidInputError: the name cannot be used.
        NameTakenError: there is a model of that name.
    """
    caller.require(Role.OPERATOR)
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            "The name cannot be used.",
            fields={"name": "1 to 64 of a-z, 0-9, '-' and '_', beginning and ending with a letter or digit."},
        )
    try:
        with transaction.atomic():
            model = Model.objects.create(
                organization_id=caller.organization_id,
                name=name,
                description=_text(description, "description"),
                created_at=now(),
            )
            _audit(caller, "model.create", "model", model.public_id, data={"name": name})
    except IntegrityError as error:
        raise NameTakenError(f"There is a model {name} already.", fields={"name": "taken"}) from error
    return model


def evaluation_set_create(*, caller: Caller, model_id: UUID, name: str, upload_id: UUID) -> EvaluationSet:
    """Add labelled rows that versions of a model are measured on. Outside any transaction: it looks at the file.

    Raises:
        NotPermittedError: the caller is no operator.
        NotFoundError: no such model or upload.
        InvalidInputError: the name cannot be used, or the file is no evaluation set (the field ``upload`` says why).
        NameTakenError: the model has a set of that name.
        UploadIncompleteError: the upload has not ended.
    """
    caller.require(Role.OPERATOR)
    model = model_for(caller=caller, model_id=model_id)
    name = name.strip()
    if not 1 <= len(name) <= 128 or not name.isprintable():  # noqa: PLR2004 - the column's length
        raise InvalidInputError("The name cannot be used.", fields={"name": "1 to 128 printable characters."})
    artifact = upload_artifact(caller=caller, upload_id=upload_id)
    if artifact.size_bytes > EVALUATION_SET_MAX_BYTES:
        raise InvalidInputError(
            "The evaluation set is too large.",
            fields={"upload": f"at most {EVALUATION_SET_MAX_BYTES // 1_000_000} MB"},
        )
    with TemporaryDirectory(prefix="flotilla-evaluation-") as folder:
        path = Path(folder) / "evaluation.npz"
        artifact_fetch(artifact=artifact, target=path)
        try:
            found = sandbox_run("evaluation-set", {"path": str(path)}, limits=EVALUATION_SET_LIMITS)
        except ModelRejectedError as error:
            raise InvalidInputError(
                error.text, code=f"models_registry.{error.error_code}", fields={"upload": error.text}
            ) from error
    try:
        with transaction.atomic():
            evaluation_set = EvaluationSet.objects.create(
                organization_id=caller.organization_id,
                model=model,
                name=name,
                artifact=artifact,
                row_count=int(found["row_count"]),
                created_at=now(),
            )
            data = {"model": model.name, "name": name, "sha256": artifact.sha256}
            _audit(caller, "evaluation_set.create", "evaluation_set", evaluation_set.public_id, data=data)
    except IntegrityError as error:
        raise NameTakenError(f"{model.name} has an evaluation set {name} already.", fields={"name": "taken"}) from error
    return evaluation_set


def version_create(
    *,
    caller: Caller,
    model_name: str,
    version: str,
    upload_id: UUID,
    evaluation_set_id: UUID | None = None,
    description: str = "",
    parent_id: UUID | None = None,
    lineage: dict[str, Any] | None = None,
) -> ModelVersion:
    """Publish a version: the upload becomes a draft, and a job validates it. Outside any transaction.

    Args:
        caller: an operator.
        model_name: the model it belongs to.
        version: 1 to 64 of ``A-Z a-z 0-9 . _ + -``, unique in the model; never given again while the row exists.
        upload_id: a complete upload.
        evaluation_set_id: what it is measured on; by default the model's newest.
        description: for people.
        parent_id: the version it was made from.
        lineage: ``code``, ``data``, ``run``, ``text``: short texts.

    Raises:
        NotPermittedError: the caller is no operator.
        NotFoundError: no such upload, evaluation set or parent.
        InvalidInputError: there is no such model, a field cannot be used, or there is no evaluation set to measure on.
        NameTakenError: the model has that version.
        UploadIncompleteError: the upload has not ended.
    """
    caller.require(Role.OPERATOR)
    model = model_named(caller=caller, name=model_name)
    if not _VERSION.fullmatch(version):
        raise InvalidInputError(
            "The version cannot be used.",
            fields={"version": "1 to 64 of A-Z, a-z, 0-9, '.', '_', '+' and '-', beginning with a letter or digit."},
        )
    evaluation_set = _evaluation_set(caller, model, evaluation_set_id)
    parent = version_for(caller=caller, version_id=parent_id) if parent_id else None
    if parent is not None and parent.model_id != model.pk:
        raise InvalidInputError("The parent is of another model.", fields={"parent": f"not a version of {model.name}"})
    values = {"description": _text(description, "description"), "lineage": _lineage(lineage or {})}
    artifact = upload_artifact(caller=caller, upload_id=upload_id)
    try:
        with transaction.atomic():
            created = ModelVersion.objects.create(
                organization_id=caller.organization_id,
                model=model,
                version=version,
                source=artifact,
                parent=parent,
                evaluation_set=evaluation_set,
                created_by_id=caller.user_id,
                created_at=now(),
                **values,
            )
            data = {"model": model.name, "version": version, "sha256": artifact.sha256}
            _audit(caller, "version.create", "version", created.public_id, data=data)
            job_enqueue(
                organization_id=caller.organization_id,
                kind=VALIDATE_JOB,
                subject_kind="version",
                subject_id=created.public_id,
            )
            publish_version(created)
    except IntegrityError as error:
        raise NameTakenError(f"{model.name} has a version {version} already.", fields={"version": "taken"}) from error
    return created


def _evaluation_set(caller: Caller, model: Model, evaluation_set_id: UUID | None) -> EvaluationSet:
    if evaluation_set_id is None:
        newest = EvaluationSet.objects.filter(model=model).order_by("-id").first()
        if newest is None:
            raise InvalidInputError(
                f"{model.name} has no evaluation set yet: add one first, so that the version can be measured.",
                fields={"evaluation_set": "add one to the model first"},
            )
        return newest
    found = evaluation_set_for(caller=caller, evaluation_set_id=evaluation_set_id)
    if found.model_id != model.pk:
        raise InvalidInputError(
            "The evaluation set is of another model.", fields={"evaluation_set": f"not one of {model.name}"}
        )
    return found


def version_delete(*, caller: Caller, version_id: UUID, reason: str = "") -> None:
    """Remove a version nobody ever agreed to, and the bytes nothing else needs. Frees its number.

    What was approved is never deleted: devices may run it, history names it. Deprecate it instead.

    Raises:
        NotPermittedError: the caller is no operator.
        NotFoundError: no such version.
        InvalidTransitionError: it is being validated, was approved, or is another version's parent.
    """
    caller.require(Role.OPERATOR)
    version = version_for(caller=caller, version_id=version_id)
    with transaction.atomic():
        locked = ModelVersion.objects.select_for_update().filter(pk=version.pk).first()
        if locked is None:
            return
        if locked.state not in DELETABLE_STATES or locked.approval == Approval.APPROVED:
            raise InvalidTransitionError(
                f"The version is {locked.state} and its approval {locked.approval}: it cannot be deleted. "
                "Deprecate it instead."
            )
        if ModelVersion.objects.filter(parent=locked).exists():
            raise InvalidTransitionError("Another version names this one as its parent; delete that one first.")
        files = {locked.source_id}
        for artifact_id, manifest_id in locked.variants.values_list("artifact_id", "manifest_id"):
            files |= {number for number in (artifact_id, manifest_id) if number is not None}
        locked.variants.all().delete()
        data = {"model": version.model.name, "version": version.version}
        locked.delete()
        _audit(caller, "version.delete", "version", version.public_id, reason=reason, data=data)
        artifacts_release(artifact_ids=files)
        publish_version(version)


def artifacts_release(*, artifact_ids: set[int]) -> None:
    """Forget artifacts nothing refers to any more; their bytes go after the commit. Inside a transaction."""
    for artifact in Artifact.objects.select_for_update().filter(pk__in=artifact_ids).order_by("pk"):
        is_used = (
            ModelVersion.objects.filter(source=artifact).exists()
            or Variant.objects.filter(Q(artifact=artifact) | Q(manifest=artifact)).exists()
            or EvaluationSet.objects.filter(artifact=artifact).exists()
        )
        if is_used:
            continue
        Upload.objects.filter(artifact=artifact).delete()
        stores = list(Replica.objects.filter(artifact=artifact).values_list("store", flat=True))
        Replica.objects.filter(artifact=artifact).delete()
        artifact.delete()
        for store in stores:
            transaction.on_commit(partial(artifact_forget, store=store, sha256=artifact.sha256))


def version_deprecate(*, caller: Caller, version_id: UUID, reason: str) -> ModelVersion:
    """Let no new rollout use a version. Devices that run it keep it; its signed targets stay, so that they can.

    Raises:
        NotPermittedError: the caller is no operator.
        NotFoundError: no such version.
        InvalidTransitionError: it is not ready.
    """
    caller.require(Role.OPERATOR)
    version = version_for(caller=caller, version_id=version_id)
    with transaction.atomic():
        moved = ModelVersion.objects.filter(pk=version.pk, state=VersionState.READY).update(
            state=VersionState.DEPRECATED
        )
        if not moved:
            version.refresh_from_db()
            raise InvalidTransitionError(f"Only a ready version can be deprecated; this one is {version.state}.")
        _audit(caller, "version.deprecate", "version", version.public_id, reason=reason)
        version.state = VersionState.DEPRECATED
        publish_version(version)
    return version


def _audit(
    caller: Caller, action: str, kind: str, public_id: UUID, *, reason: str = "", data: dict[str, Any] | None = None
) -> None:
    audit_write(
        organization_id=caller.organization_id,
        actor=caller.actor,
        action=action,
        object_kind=kind,
        object_id=str(public_id),
        reason=reason,
        data=data,
    )


def _text(text: str, field: str) -> str:
    if len(text) > _TEXT_MAX or "\x00" in text:
        raise InvalidInputError("A text cannot be kept.", fields={field: f"at most {_TEXT_MAX} characters"})
    return text


def _lineage(lineage: dict[str, Any]) -> dict[str, str]:
    for key, value in lineage.items():
        if key not in _LINEAGE_KEYS or not isinstance(value, str) or len(value) > _LINEAGE_MAX or "\x00" in value:
            raise InvalidInputError(
                "The lineage cannot be kept.",
                fields={"lineage": f"texts of at most {_LINEAGE_MAX} characters under {', '.join(_LINEAGE_KEYS)}"},
            )
    return lineage
