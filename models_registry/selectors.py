"""What the registry shows, always within one organization."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db.models import Count, Prefetch, QuerySet

from common.clock import now
from common.errors import InvalidInputError, NotFoundError
from fleet.selectors import installed_counts
from governance.types import Caller
from models_registry.errors import (
    ObjectMissingError,
    StoreConfigurationError,
    StoreUnavailableError,
    UploadNotFoundError,
    VersionNotReleasableError,
)
from models_registry.models import (
    Approval,
    Artifact,
    EvaluationSet,
    Model,
    ModelVersion,
    ReferenceProfile,
    TrustMetadata,
    Upload,
    UploadState,
    Variant,
    VersionState,
)
from models_registry.storage.base import PRESIGN_MAX
from models_registry.storage.registry import store_named
from models_registry.types import ArtifactLocation, FileRef, VariantRef, VersionRef

_METADATA_FILE = re.compile(r"(?:(?P<version>[1-9][0-9]{0,8})\.)?(?P<role>root|targets|snapshot|timestamp)\.json")


def target_path(model: str, version: str, variant: str, file: str) -> str:
    """The TUF path of a file: ``{model}/{version}/{variant}/{file}``."""
    return f"{model}/{version}/{variant}/{file}"


def upload_for(*, caller: Caller, upload_id: UUID) -> Upload:
    """An upload that is open or complete.

    Raises:
        UploadNotFoundError: there is none, it expired, or it belongs to another organization.
    """
    upload = (
        Upload.objects.select_related("artifact")
        .filter(organization_id=caller.organization_id, public_id=upload_id)
        .exclude(state=UploadState.EXPIRED)
        .first()
    )
    if upload is None or (upload.state == UploadState.OPEN and upload.expires_at <= now()):
        raise UploadNotFoundError("There is no such upload; it may have expired.")
    return upload


def models(*, caller: Caller) -> QuerySet[Model]:
    """Models of the caller's organization with ``version_count``."""
    return Model.objects.filter(organization_id=caller.organization_id).annotate(version_count=Count("versions"))


def model_for(*, caller: Caller, model_id: UUID) -> Model:
    """One model.

    Raises:
        NotFoundError: there is none in the caller's organization.
    """
    model = models(caller=caller).filter(public_id=model_id).first()
    if model is None:
        raise NotFoundError("There is no such model.")
    return model


def model_named(*, caller: Caller, name: str) -> Model:
    """One model by its name, as a field of a request names it.

    Raises:
        InvalidInputError: there is none in the caller's organization.
    """
    model = models(caller=caller).filter(name=name).first()
    if model is None:
        raise InvalidInputError(f"There is no model {name}.", fields={"model": "no model of this name"})
    return model


def latest_versions(models_shown: Collection[Model]) -> dict[int, ModelVersion]:
    """The newest version per model id, with one query."""
    newest = ModelVersion.objects.filter(model__in=models_shown).order_by("model_id", "-id").distinct("model_id")
    return {version.model_id: version for version in newest}


def device_counts(*, caller: Caller, models_shown: Collection[Model]) -> dict[str, dict[str, int]]:
    """Devices that run any version of each model, by name: ``{proven, claimed}``; one query."""
    counts = {model.name: {"proven": 0, "claimed": 0} for model in models_shown}
    for (name, evidence), count in installed_counts(caller=caller, model_names=counts.keys()).items():
        counts[name]["claimed" if evidence == "claimed" else "proven"] += count
    return counts


def evaluation_sets(*, caller: Caller, model_id: UUID) -> QuerySet[EvaluationSet]:
    """Evaluation sets of one model.

    Raises:
        NotFoundError: there is no such model in the caller's organization.
    """
    model = model_for(caller=caller, model_id=model_id)
    return EvaluationSet.objects.filter(model=model).select_related("artifact")


def evaluation_set_for(*, caller: Caller, evaluation_set_id: UUID) -> EvaluationSet:
    """One evaluation set.

    Raises:
        NotFoundError: there is none in the caller's organization.
    """
    found = EvaluationSet.objects.filter(organization_id=caller.organization_id, public_id=evaluation_set_id).first()
    if found is None:
        raise NotFoundError("There is no such evaluation set.")
    return found


def versions(*, caller: Caller) -> QuerySet[ModelVersion]:
    """Versions of the caller's organization with everything their resource shows; a fixed number of queries."""
    variants = Variant.objects.select_related("artifact", "hardware_profile").prefetch_related("artifact__replicas")
    return (
        ModelVersion.objects.filter(organization_id=caller.organization_id)
        .select_related("model", "parent", "evaluation_set", "created_by", "approved_by", "reference_profile", "source")
        .prefetch_related(Prefetch("variants", queryset=variants.order_by("id")))
    )


def versions_filtered(
    *, caller: Caller, model: str | None = None, state: str | None = None, approval: str | None = None
) -> QuerySet[ModelVersion]:
    """Versions that match: ``model`` is a name."""
    wanted = {"model__name": model, "state": state, "approval": approval}
    return versions(caller=caller).filter(**{field: value for field, value in wanted.items() if value is not None})


def version_for(*, caller: Caller, version_id: UUID) -> ModelVersion:
    """One version.

    Raises:
        NotFoundError: there is none in the caller's organization.
    """
    version = versions(caller=caller).filter(public_id=version_id).first()
    if version is None:
        raise NotFoundError("There is no such version.")
    return version


def reference_profile_for(*, caller: Caller, version_id: UUID) -> ReferenceProfile:
    """The distributions a version is judged against.

    Raises:
        NotFoundError: no such version, or it has none (it is not ready).
    """
    found = ReferenceProfile.objects.filter(
        version__organization_id=caller.organization_id, version__public_id=version_id
    ).first()
    if found is None:
        raise NotFoundError("The version has no reference profile; a version has one once it is ready.")
    return found


def model_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of models."""
    found = Model.objects.filter(organization_id=organization_id, public_id__in=ids)
    return dict(found.values_list("public_id", "name"))


def version_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of versions: model and version."""
    found = ModelVersion.objects.filter(organization_id=organization_id, public_id__in=ids)
    return {
        public_id: f"{name} {version}"
        for public_id, name, version in found.values_list("public_id", "model__name", "version")
    }


# --- For rollouts and the device doors ------------------------------------------------------------


def version_for_rollout(*, caller: Caller, version_id: UUID) -> VersionRef:
    """A version that may roll out.

    Raises:
        NotFoundError: there is none in the caller's organization.
        VersionNotReleasableError: it is not ready, or not approved.
    """
    version = version_for(caller=caller, version_id=version_id)
    if version.state != VersionState.READY or version.approval != Approval.APPROVED:
        raise VersionNotReleasableError(
            f"{version.model.name} {version.version} is {version.state} and its approval {version.approval}; "
            "only ready, approved versions roll out.",
            fields={"version": "not a ready, approved version"},
        )
    return _version_ref(version)


def version_ref(*, organization_id: int, version_id: int) -> VersionRef:
    """Any version by its number, whatever its state: what devices run may have been deprecated since.

    Raises:
        NotFoundError: there is none in the organization.
    """
    version = (
        ModelVersion.objects.filter(organization_id=organization_id, pk=version_id).select_related("model").first()
    )
    if version is None:
        raise NotFoundError("There is no such version.")
    return _version_ref(version)


def _version_ref(version: ModelVersion) -> VersionRef:
    rows = Variant.objects.filter(version=version).select_related("artifact", "manifest", "version__model")
    return VersionRef(
        id=version.pk,
        public_id=version.public_id,
        organization_id=version.organization_id,
        model_id=version.model_id,
        model_name=version.model.name,
        version=version.version,
        variants=tuple(_variant_ref(variant) for variant in rows.order_by("id")),
    )


def variants_by_id(*, organization_id: int, ids: Collection[int]) -> dict[int, VariantRef]:
    """Variants by their number, those of other organizations left out; one query."""
    rows = Variant.objects.filter(organization_id=organization_id, pk__in=ids)
    return {
        variant.pk: _variant_ref(variant) for variant in rows.select_related("artifact", "manifest", "version__model")
    }


def variant_for(*, organization_id: int, version_id: int, hardware_profile_id: int | None) -> VariantRef:
    """The variant of a version made for a hardware profile, else the one for any hardware.

    Raises:
        NotFoundError: the version has neither.
    """
    found = version_ref(organization_id=organization_id, version_id=version_id).variant_for(hardware_profile_id)
    if found is None:
        raise NotFoundError("The version has no variant for this hardware.")
    return found


def variant_with_digest(*, organization_id: int, model_name: str, digest: str) -> VariantRef | None:
    """The newest variant of a model whose file has this SHA-256: what a device says it runs."""
    variant = (
        Variant.objects.filter(
            organization_id=organization_id, artifact__sha256=digest, version__model__name=model_name
        )
        .select_related("artifact", "manifest", "version__model")
        .order_by("-id")
        .first()
    )
    return _variant_ref(variant) if variant else None


def _variant_ref(variant: Variant) -> VariantRef:
    version = variant.version
    if variant.manifest is None:
        raise NotFoundError(f"The variant {variant.name} has no manifest.")

    def file(artifact: Artifact, name: str) -> FileRef:
        return FileRef(
            artifact_id=artifact.pk,
            sha256=artifact.sha256,
            sha1=artifact.sha1,
            md5=artifact.md5,
            size_bytes=artifact.size_bytes,
            target_path=target_path(version.model.name, version.version, variant.name, name),
        )

    return VariantRef(
        id=variant.pk,
        public_id=variant.public_id,
        name=variant.name,
        hardware_profile_id=variant.hardware_profile_id,
        model=file(variant.artifact, "model.onnx"),
        manifest=file(variant.manifest, "manifest.json"),
    )


def artifact_location(
    *, organization_id: int, artifact_id: int, link_lifetime: timedelta = PRESIGN_MAX
) -> ArtifactLocation:
    """Where a device door finds the bytes: a file to send, or a link for a 302. Stores are tried in their order.

    Raises:
        ObjectMissingError: no such artifact in the organization, or no store holds it.
        StoreUnavailableError: the stores that hold it failed.
    """
    artifact = Artifact.objects.filter(organization_id=organization_id, pk=artifact_id).first()
    if artifact is None:
        raise ObjectMissingError("There is no such artifact.")
    failure: StoreUnavailableError | None = None
    for name, key in artifact.replicas.order_by("id").values_list("store", "key"):
        try:
            store = store_named(name)
            url = store.presign(key, expires=link_lifetime)
        except StoreConfigurationError:
            continue  # a store that was taken out of service; another may hold a copy
        except StoreUnavailableError as error:
            failure = error
            continue
        path: Path | None = None
        if url is None:
            path = store.path(key)
            if path is None or not path.is_file():
                continue
        return ArtifactLocation(
            sha256=artifact.sha256, sha1=artifact.sha1, size_bytes=artifact.size_bytes, path=path, url=url
        )
    raise failure or ObjectMissingError("No store holds this artifact.", context={"sha256": artifact.sha256})


def trust_metadata(organization_id: int, filename: str) -> bytes | None:
    """A TUF metadata file of the organization, exactly as signed; None if there is none.

    Args:
        organization_id: whose repository.
        filename: ``{role}.json`` for the newest, ``{N}.{role}.json`` for a version of it.
    """
    match = _METADATA_FILE.fullmatch(filename)
    if match is None:
        return None
    rows = TrustMetadata.objects.filter(organization_id=organization_id, role=match["role"])
    if match["version"]:
        rows = rows.filter(version=int(match["version"]))
    content = rows.order_by("-version").values_list("content", flat=True).first()
    return None if content is None else bytes(content)
