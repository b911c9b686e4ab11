"""What the registry tells browsers (``docs/protocol/live.md``)."""

from __future__ import annotations

from typing import TypedDict

from common.live import publish
from models_registry.models import ModelVersion

TOPIC_MODELS = "models"


class VersionChanged(TypedDict):
    """Data of ``version.changed``; the id is the version's."""

    state: str
    approval: str
    model: str


def publish_version(version: ModelVersion) -> None:
    """Tell the model screens that a version changed, once the transaction has committed."""
    data: VersionChanged = {
        "state": str(version.state),
        "approval": str(version.approval),
        "model": version.model.name,
    }
    publish(
        organization_id=version.organization_id,
        topic=TOPIC_MODELS,
        kind="version.changed",
        id=str(version.public_id),
        data=dict(data),
    )
