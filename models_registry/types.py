"""Plain values the registry hands to other apps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID


@dataclass(frozen=True)
class FileRef:
    """One immutable file. Digests are lower-case hex; ``md5`` is empty unless the organization's clients need it."""

    artifact_id: int
    sha256: str
    sha1: str
    md5: str
    size_bytes: int
    target_path: str  # in the organization's TUF repository


@dataclass(frozen=True)
class VariantRef:
    """A form of a version for some hardware."""

    id: int
    public_id: UUID
    name: str
    hardware_profile_id: int | None  # None: any
    model: FileRef
    manifest: FileRef

    @property
    def digest(self) -> str:
        """SHA-256 of ``model.onnx``: the name of what a device runs."""
        return self.model.sha256


@dataclass(frozen=True)
class VersionRef:
    """A version that may roll out, with all its variants."""

    id: int
    public_id: UUID
    organization_id: int
    model_id: int
    model_name: str
    version: str
    variants: tuple[VariantRef, ...]

    def variant_for(self, hardware_profile_id: int | None) -> VariantRef | None:
        """The variant made for the profile, else the one for any hardware."""
        by_profile = {variant.hardware_profile_id: variant for variant in self.variants}
        return by_profile.get(hardware_profile_id) or by_profile.get(None)


@dataclass(frozen=True)
class ArtifactLocation:
    """Where a device door finds bytes: a file to send, or a link to answer with. Exactly one of both is set."""

    sha256: str
    sha1: str
    size_bytes: int
    path: Path | None
    url: str | None
