"""Reference profiles by model and version."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import numpy as np
from django.db.models import Q

from flotilla_protocol import codec
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.profile import FeatureProfile, profile_check
from flotilla_protocol.profile import ReferenceProfile as Profile
from models_registry.models import ReferenceProfile
from telemetry.policy.drift import Counts

logger = logging.getLogger(__name__)

CATEGORICAL = frozenset({"class"})  # features whose bins are classes (docs/protocol/device.md, section 5)


@dataclass(frozen=True)
class VersionProfile:
    """A version with the distributions it is judged against."""

    version_id: int
    public_id: UUID
    model: str
    version: str
    features: dict[str, FeatureProfile]


def version_profiles(
    *, organization_id: int, versions: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], VersionProfile]:
    """Profiles by ``(model, version)``; versions without one, or with one that cannot be read, are left out."""
    wanted = list(versions)
    if not wanted:
        return {}
    condition = Q()
    for model, version in wanted:
        condition |= Q(version__model__name=model, version__version=version)
    rows = (
        ReferenceProfile.objects.filter(condition, version__organization_id=organization_id)
        .order_by("pk")
        .values_list("pk", "version_id", "version__public_id", "version__model__name", "version__version")
    )
    profiles: dict[tuple[str, str], VersionProfile] = {}
    for pk, version_id, public_id, model, version in rows:
        features = _features(pk)
        if features:
            profiles[model, version] = VersionProfile(version_id, public_id, model, version, features)
    return profiles


@lru_cache(maxsize=256)
def _features(profile_pk: int) -> dict[str, FeatureProfile]:
    """A profile never changes once it is made, so it is read and checked once per process."""
    stored = ReferenceProfile.objects.values_list("profile", flat=True).get(pk=profile_pk)
    try:
        profile = codec.convert(stored, Profile)
        profile_check(profile)
    except InvalidMessageError:
        logger.warning("reference profile %d cannot be read; its version is not judged", profile_pk, exc_info=True)
        return {}
    return {feature.name: feature for feature in profile.features if sum(feature.counts) > 0}


def reference_counts(feature: FeatureProfile) -> Counts:
    """The reference as counts of one segment."""
    return Counts(
        bins=np.array([feature.counts], dtype=np.int64),
        sums=np.array([feature.sums], dtype=np.float64),
        missing=np.array([feature.missing], dtype=np.int64),
        below=np.array([feature.below], dtype=np.int64),
        above=np.array([feature.above], dtype=np.int64),
    )
