"""Tables of the model registry."""

from models_registry.models.artifact import Artifact, Replica, Upload, UploadState
from models_registry.models.trust import SigningKey, TrustMetadata
from models_registry.models.version import (
    Approval,
    EvaluationSet,
    Model,
    ModelVersion,
    ReferenceProfile,
    Variant,
    VersionState,
)

__all__ = [
    "Approval",
    "Artifact",
    "EvaluationSet",
    "Model",
    "ModelVersion",
    "ReferenceProfile",
    "Replica",
    "SigningKey",
    "TrustMetadata",
    "Upload",
    "UploadState",
    "Variant",
    "VersionState",
]
