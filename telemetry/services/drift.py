"""Drift: merge the window's sketches, score them, keep the scores, move the alerts."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from django.conf import settings
from django.db import connection, transaction

from common.clock import now
from governance.models import Organization
from telemetry import events
from telemetry.models import DriftScore, DriftVerdict
from telemetry.policy import drift
from telemetry.policy.segments import FeatureCounts, Segment, counts_of, segments_with_parents
from telemetry.policy.sketches import sketches_unpack
from telemetry.selectors.profiles import CATEGORICAL, VersionProfile, reference_counts, version_profiles
from telemetry.services.alert_rules import alert_rule_defaults_ensure
from telemetry.services.alerts import drift_alerts_update
from telemetry.types import DriftCell

logger = logging.getLogger(__name__)

# An evaluation looks back over the whole window; twelve per window show a change soon without judging the same rows
# hundreds of times.
_EVALUATIONS_PER_WINDOW = 12
_INTERVAL_MIN, _INTERVAL_MAX = timedelta(seconds=10), timedelta(minutes=5)
_FETCH = 2_000  # windows held in memory at once, some 3 kB each
_LOCK = 0x64726966  # with the organization: one evaluation at a time

VERSIONS: Final = """
SELECT DISTINCT w.model_name, w.version
FROM telemetry_inferencewindow w JOIN fleet_device d ON d.id = w.device_id
WHERE d.organization_id = %s AND w.ts >= %s AND w.ts < %s AND w.sketches IS NOT NULL
"""
SKETCHES: Final = """
SELECT w.device_id, d.region_id, d.hardware_profile_id, w.model_name, w.version, w.sketches
FROM telemetry_inferencewindow w JOIN fleet_device d ON d.id = w.device_id
WHERE d.organization_id = %s AND w.ts >= %s AND w.ts < %s AND w.sketches IS NOT NULL
"""

# Of the evaluations that have aged, the first of each window stays.
THIN: Final = """
DELETE FROM telemetry_driftscore s WHERE s.window_end < %(aged)s AND s.window_end <> (
    SELECT min(f.window_end) FROM telemetry_driftscore f
    WHERE f.organization_id = s.organization_id AND f.version_id = s.version_id
      AND f.window_end >= to_timestamp(floor(extract(epoch FROM s.window_end) / %(window_s)s) * %(window_s)s)
      AND f.window_end <= s.window_end
)
"""
_AGED_WINDOWS = 24

Leaves = dict[tuple[str, str], dict[str, dict[Segment, FeatureCounts]]]


@dataclass(frozen=True)
class DriftEvaluation:
    """What one evaluation found."""

    window_start: datetime
    window_end: datetime
    cells: tuple[DriftCell, ...]


def drift_evaluate_due() -> int:
    """Evaluate every organization whose last evaluation is old enough. Returns how many were evaluated.

    One that fails is logged and does not stop the others.
    """
    alert_rule_defaults_ensure()
    at = now()
    interval = min(max(window_length() / _EVALUATIONS_PER_WINDOW, _INTERVAL_MIN), _INTERVAL_MAX)
    evaluated = 0
    for organization_id in Organization.objects.order_by("pk").values_list("pk", flat=True):
        newest = (
            DriftScore.objects.filter(organization_id=organization_id)
            .order_by("-window_end")
            .values_list("window_end", flat=True)
            .first()
        )
        if newest is not None and at - newest < interval:
            continue
        try:
            evaluated += drift_evaluate(organization_id=organization_id) is not None
        except Exception:
            logger.exception("drift of organization %d could not be evaluated", organization_id)
    return evaluated


def drift_scores_thin() -> int:
    """Drop scores past the retention; of those older than 24 windows keep one evaluation per window.

    Evaluations overlap twelvefold, which matters while something happens and is waste a day later. Idempotent. Returns
    how many were dropped.
    """
    at = now()
    cutoff = at - timedelta(hours=settings.TELEMETRY_RETENTION_HOURS)
    dropped, _ = DriftScore.objects.filter(window_end__lt=cutoff).delete()
    window_s = window_length().total_seconds()
    with connection.cursor() as cursor:
        cursor.execute(THIN, {"aged": at - _AGED_WINDOWS * window_length(), "window_s": window_s})
        return dropped + int(cursor.rowcount)


def window_length() -> timedelta:
    """How far back an evaluation looks."""
    return timedelta(seconds=settings.DRIFT_WINDOW_S)


def drift_evaluate(*, organization_id: int, at: datetime | None = None) -> DriftEvaluation | None:
    """Judge every version with a reference profile over the window that ends at ``at`` (None: now).

    Scores and alerts are written in one transaction; browsers are told after it. None when another process is at it, or
    when nothing was reported and no alert waits for an answer.
    """
    end = at or now()
    start = end - window_length()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s::int, %s::int)", [_LOCK, organization_id])
            if not cursor.fetchone()[0]:
                return None
        profiles = _profiles(organization_id, start, end)
        leaves = _read(organization_id, start, end, profiles)
        cells = _score(profiles, leaves)
        DriftScore.objects.bulk_create(
            [_row(cell, organization_id=organization_id, start=start, end=end) for cell in cells], batch_size=500
        )
        drift_alerts_update(organization_id=organization_id, at=end, cells=cells)
    for public_id in {cell.version_public_id for cell in cells}:
        events.publish_drift_changed(organization_id=organization_id, version_id=public_id)
    return DriftEvaluation(window_start=start, window_end=end, cells=tuple(cells)) if cells else None


def _profiles(organization_id: int, start: datetime, end: datetime) -> dict[tuple[str, str], VersionProfile]:
    with connection.cursor() as cursor:
        cursor.execute(VERSIONS, [organization_id, start, end])
        versions = [(model, version) for model, version in cursor.fetchall()]
    return version_profiles(organization_id=organization_id, versions=versions)


def _windows(organization_id: int, start: datetime, end: datetime) -> Iterator[tuple[Any, ...]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(SKETCHES, [organization_id, start, end])
        while rows := cursor.fetchmany(_FETCH):
            yield from rows


def _read(
    organization_id: int, start: datetime, end: datetime, profiles: dict[tuple[str, str], VersionProfile]
) -> Leaves:
    leaves: Leaves = {}
    if not profiles:
        return leaves
    mismatched = 0
    for device_id, region_id, hardware_profile_id, model, version, stored in _windows(organization_id, start, end):
        profile = profiles.get((model, version))
        if profile is None:
            continue
        segment = Segment(region_id, hardware_profile_id)
        by_feature = leaves.setdefault((model, version), {})
        for sketch in sketches_unpack(bytes(stored)):
            feature = profile.features.get(sketch.feature)
            if feature is None:
                continue
            by_segment = by_feature.setdefault(sketch.feature, {})
            counts = by_segment.get(segment)
            if counts is None:
                counts = by_segment[segment] = FeatureCounts.empty(len(feature.counts))
            mismatched += not counts.add(device_id, sketch)
    if mismatched:
        logger.warning("%d sketches have other bins than their version's profile; left out", mismatched)
    return leaves


def _score(profiles: dict[tuple[str, str], VersionProfile], leaves: Leaves) -> list[DriftCell]:
    scored: list[drift.Scores] = []
    places: list[tuple[VersionProfile, str, list[Segment], list[FeatureCounts]]] = []
    for key, by_feature in sorted(leaves.items()):
        profile = profiles[key]
        for name, by_segment in sorted(by_feature.items()):
            feature = profile.features[name]
            judged = segments_with_parents(by_segment)
            if not judged:
                continue
            segments, counts = list(judged), list(judged.values())
            scored.append(
                drift.drift_scores(
                    edges=np.array(feature.edges),
                    reference=reference_counts(feature),
                    current=counts_of(counts),
                    is_categorical=name in CATEGORICAL,
                )
            )
            places.append((profile, name, segments, counts))
    cells: list[DriftCell] = []
    for scores, judgements, (profile, name, segments, counts) in zip(
        scored, drift.drift_judge(scored), places, strict=True
    ):
        cells += [
            _cell(scores, at, judgements[at], profile, name, segments[at], counts[at]) for at in range(len(segments))
        ]
    return cells


_VERDICTS = {None: DriftVerdict.NOT_ENOUGH_DATA, 0: DriftVerdict.QUIET, 1: DriftVerdict.WARN, 2: DriftVerdict.ALERT}


def _cell(  # noqa: PLR0917 - one caller, two lines above
    scores: drift.Scores,
    at: int,
    judgement: drift.Judgement,
    profile: VersionProfile,
    feature: str,
    segment: Segment,
    counts: FeatureCounts,
) -> DriftCell:
    return DriftCell(
        version_id=profile.version_id,
        version_public_id=profile.public_id,
        model=profile.model,
        version=profile.version,
        region_id=segment.region_id,
        hardware_profile_id=segment.hardware_profile_id,
        feature=feature,
        kind=profile.features[feature].kind,
        row_count=counts.row_count,
        device_count=len(counts.device_ids),
        psi=_finite(scores.psi[at]),
        psi_excess=_finite(scores.psi_excess[at]),
        js_distance=_finite(scores.js_distance[at]),
        ks_distance=_finite(scores.ks_distance[at]),
        p_value=judgement.p_value,
        mean_reference=_finite(scores.mean_reference),
        mean_current=_finite(scores.mean_current[at]),
        mean_shift=_finite(scores.mean_shift[at]),
        missing_ratio=_finite(scores.missing_ratio[at]),
        outside_ratio=_finite(scores.outside_ratio[at]),
        verdict=_VERDICTS[judgement.level],
        cause=judgement.cause,
        counts=tuple(counts.bins.tolist()),
    )


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _row(cell: DriftCell, *, organization_id: int, start: datetime, end: datetime) -> DriftScore:
    return DriftScore(
        organization_id=organization_id,
        version_id=cell.version_id,
        region_id=cell.region_id,
        hardware_profile_id=cell.hardware_profile_id,
        feature=cell.feature,
        kind=cell.kind,
        window_start=start,
        window_end=end,
        row_count=cell.row_count,
        device_count=cell.device_count,
        psi=cell.psi,
        psi_excess=cell.psi_excess,
        js_distance=cell.js_distance,
        ks_distance=cell.ks_distance,
        p_value=cell.p_value,
        mean_reference=cell.mean_reference,
        mean_current=cell.mean_current,
        mean_shift=cell.mean_shift,
        missing_ratio=cell.missing_ratio,
        outside_ratio=cell.outside_ratio,
        verdict=cell.verdict,
        cause=cell.cause,
        counts=list(cell.counts),
    )
