"""Drift as the screen shows it: the matrix of segments and features, and one cell with what stands behind it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import numpy as np
from django.db import connection
from django.db.models import Max, OuterRef, QuerySet, Subquery

from common.clock import now
from common.errors import NotFoundError
from fleet.selectors import device_refs
from governance.names import names_for
from governance.types import Caller
from telemetry.models import Alert, DriftScore, DriftVerdict
from telemetry.policy import drift
from telemetry.policy.segments import FeatureCounts, counts_of
from telemetry.policy.sketches import sketches_unpack
from telemetry.selectors.profiles import CATEGORICAL, VersionProfile, reference_counts, version_profiles

CHOICES_SPAN = timedelta(days=7)  # versions judged within it can be chosen
HISTORY_MAX, DEVICES_MAX, MARKS_MAX = 500, 20, 20

_BADNESS: Final = {
    DriftVerdict.ALERT: 3,
    DriftVerdict.WARN: 2,
    DriftVerdict.QUIET: 1,
    DriftVerdict.NOT_ENOUGH_DATA: 0,
}
_CELL_FIELDS: Final = (
    *("feature", "verdict", "cause", "row_count", "device_count", "psi", "psi_excess", "js_distance", "ks_distance"),
    *("p_value", "mean_reference", "mean_current", "mean_shift", "missing_ratio", "outside_ratio"),
)

_DEVICE_SKETCHES: Final = """
SELECT w.device_id, w.sketches
FROM telemetry_inferencewindow w JOIN fleet_device d ON d.id = w.device_id
WHERE d.organization_id = %(organization)s AND w.ts >= %(since)s AND w.ts < %(until)s
  AND w.model_name = %(model)s AND w.version = %(version)s AND w.sketches IS NOT NULL
  AND (%(region)s::bigint IS NULL OR d.region_id = %(region)s)
  AND (%(profile)s::bigint IS NULL OR d.hardware_profile_id = %(profile)s)
"""
# What happened to many devices of the segment at about the same time; the ledger is the fleet's, its rows are data.
_MARKS: Final = """
SELECT e.kind, e.reference_kind, e.reference_id, min(e.at), count(DISTINCT e.device_id)
FROM fleet_deviceevent e JOIN fleet_device d ON d.id = e.device_id
WHERE d.organization_id = %(organization)s AND e.at >= %(since)s AND e.at < %(until)s
  AND (%(region)s::bigint IS NULL OR d.region_id = %(region)s)
  AND e.reference_id IS NOT NULL AND e.kind LIKE ANY(%(kinds)s)
GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT %(limit)s
"""
_MARK_KINDS: Final = ["deployment.proven", "deployment.rolled\\_back"]


def drift_matrix(*, caller: Caller, model: str | None, version: str | None) -> dict[str, Any] | None:
    """The newest evaluation of a version; without one named, of the version with the worst cell.

    Args:
        caller: who is asking.
        model: a model's name, or None for any.
        version: a version string, or None for the worst of the model's.

    Returns:
        As in ``docs/api/README.md``; None when nothing was judged in the last seven days.

    Raises:
        NotFoundError: the named version was not judged in that time.
    """
    choices = _choices(caller)
    matching = [
        choice
        for choice in choices
        if (model is None or choice["model"] == model) and (version is None or choice["version"] == version)
    ]
    if not matching:
        if model is None and version is None:
            return None
        raise NotFoundError("This version was not judged in the last seven days.")
    chosen = matching[0]
    scores = list(
        DriftScore.objects.filter(
            organization_id=caller.organization_id, version_id=chosen["pk"], window_end=chosen["window_end"]
        )
        .select_related("region", "hardware_profile")
        .order_by("region__name", "hardware_profile__name", "kind", "feature")
    )
    segments: dict[tuple[str | None, str | None], int] = {}
    for score in scores:
        key = _segment_names(score)
        segments[key] = max(segments.get(key, 0), score.device_count)
    features = dict.fromkeys((score.feature, score.kind) for score in sorted(scores, key=lambda one: one.kind))
    return {
        "model": chosen["model"],
        "version": chosen["version"],
        "version_id": chosen["version_id"],
        "window": {"start": scores[0].window_start, "end": scores[0].window_end},
        "versions": [
            {name: choice[name] for name in ("model", "version", "version_id", "worst")} for choice in choices
        ],
        "features": [{"name": name, "kind": kind} for name, kind in features],
        "segments": [
            {"region": region, "hardware_profile": profile, "device_count": count}
            for (region, profile), count in segments.items()
        ],
        "cells": [
            {
                "region": _segment_names(score)[0],
                "hardware_profile": _segment_names(score)[1],
                **{name: getattr(score, name) for name in _CELL_FIELDS},
            }
            for score in scores
        ],
        "false_discovery_ratio": drift.FALSE_DISCOVERY_RATIO,
    }


def _segment_names(score: DriftScore) -> tuple[str | None, str | None]:
    return (
        score.region.name if score.region else None,
        score.hardware_profile.name if score.hardware_profile else None,
    )


def _choices(caller: Caller) -> list[dict[str, Any]]:
    """Versions judged lately with their newest evaluation's worst cell; worst and newest first."""
    recent = DriftScore.objects.filter(organization_id=caller.organization_id, window_end__gte=now() - CHOICES_SPAN)
    newest = dict(recent.values_list("version_id").annotate(at=Max("window_end")))
    rows = (
        recent.filter(window_end=Subquery(_newest_end(recent)))
        .values_list("version_id", "version__public_id", "version__model__name", "version__version", "verdict")
        .annotate(excess=Max("psi_excess"))
    )
    choices: dict[int, dict[str, Any]] = {}
    for pk, public_id, model, version, verdict, excess in rows:
        rank = (_BADNESS[DriftVerdict(verdict)], excess or 0.0)
        known = choices.get(pk)
        if known is None or rank > known["rank"]:
            choices[pk] = {
                "pk": pk,
                "version_id": public_id,
                "model": model,
                "version": version,
                "worst": verdict,
                "rank": rank,
                "window_end": newest[pk],
            }
    # A version that is no longer reported steps back behind those that are.
    return sorted(choices.values(), key=lambda one: (one["rank"][0], one["window_end"], one["rank"][1]), reverse=True)


def _newest_end(scores: QuerySet[DriftScore]) -> QuerySet[Any]:
    return scores.filter(version_id=OuterRef("version_id")).order_by("-window_end").values("window_end")[:1]


def drift_cell(
    *, caller: Caller, version_id: UUID, region: str | None, feature: str, hardware_profile: str | None = None
) -> dict[str, Any]:
    """One cell: its history, its distribution, the devices behind it, and what happened around it.

    Args:
        caller: who is asking.
        version_id: the version's public id.
        region: a region's name; None for the pool of the smaller ones.
        feature: a feature's name.
        hardware_profile: a profile's name; None for all.

    Raises:
        NotFoundError: there is no such cell in the caller's organization.
    """
    scores = list(
        DriftScore.objects.filter(
            organization_id=caller.organization_id,
            version__public_id=version_id,
            feature=feature,
            **({"region": None} if region is None else {"region__name": region}),
            **(
                {"hardware_profile": None} if hardware_profile is None else {"hardware_profile__name": hardware_profile}
            ),
        )
        .select_related("version__model")
        .order_by("-window_end")[:HISTORY_MAX]
    )
    if not scores:
        raise NotFoundError("There is no such drift cell.")
    newest, oldest = scores[0], scores[-1]
    names = (newest.version.model.name, newest.version.version)
    profile = version_profiles(organization_id=caller.organization_id, versions=[names]).get(names)
    return {
        "history": [
            {
                "at": score.window_end,
                "psi_excess": score.psi_excess,
                "verdict": score.verdict,
                "row_count": score.row_count,
            }
            for score in reversed(scores)
        ],
        "distribution": _distribution(profile, newest),
        "devices": _devices(caller, profile, newest) if profile else [],
        "marks": _marks(caller, newest, since=oldest.window_start),
    }


def _distribution(profile: VersionProfile | None, score: DriftScore) -> dict[str, Any]:
    feature = profile.features.get(score.feature) if profile else None
    if feature is None:
        return {"edges": [], "reference": [], "current": []}
    return {
        "edges": list(feature.edges),
        "reference": _shares(feature.counts),
        "current": _shares(score.counts),
    }


def _shares(counts: Iterable[int]) -> list[float]:
    values = np.array(list(counts), dtype=np.float64)
    total = values.sum()
    shares: list[float] = (values / total).tolist() if total else values.tolist()
    return shares


def _devices(caller: Caller, profile: VersionProfile, score: DriftScore) -> list[dict[str, Any]]:
    """Devices of the cell over its window, the furthest from the reference first."""
    feature = profile.features.get(score.feature)
    if feature is None:
        return []
    counted: dict[int, FeatureCounts] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            _DEVICE_SKETCHES,
            {
                "organization": caller.organization_id,
                "since": score.window_start,
                "until": score.window_end,
                "model": profile.model,
                "version": profile.version,
                "region": score.region_id,
                "profile": score.hardware_profile_id,
            },
        )
        for device_id, stored in cursor.fetchall():
            counts = counted.setdefault(device_id, FeatureCounts.empty(len(feature.counts)))
            for sketch in sketches_unpack(bytes(stored)):
                if sketch.feature == score.feature:
                    counts.add(device_id, sketch)
    counted = {device_id: counts for device_id, counts in counted.items() if counts.row_count}
    if not counted:
        return []
    scores = drift.drift_scores(
        edges=np.array(feature.edges),
        reference=reference_counts(feature),
        current=counts_of(list(counted.values())),
        is_categorical=score.feature in CATEGORICAL,
    )
    worst = np.argsort(-np.nan_to_num(scores.psi_excess, nan=-np.inf))[:DEVICES_MAX].tolist()
    ids = list(counted)
    refs = device_refs(organization_id=caller.organization_id, device_ids=[ids[at] for at in worst])
    return [
        {
            "id": refs[ids[at]].public_id,
            "name": refs[ids[at]].name,
            "site": refs[ids[at]].site,
            "psi_excess": float(scores.psi_excess[at]) if np.isfinite(scores.psi_excess[at]) else None,
            "mean": float(scores.mean_current[at]) if np.isfinite(scores.mean_current[at]) else None,
            "row_count": int(scores.row_count[at]),
        }
        for at in worst
        if ids[at] in refs
    ]


def _marks(caller: Caller, score: DriftScore, *, since: datetime) -> list[dict[str, Any]]:
    until = now()
    with connection.cursor() as cursor:
        cursor.execute(
            _MARKS,
            {
                "organization": caller.organization_id,
                "since": since,
                "until": until,
                "region": score.region_id,
                "kinds": _MARK_KINDS,
                "limit": MARKS_MAX,
            },
        )
        rows = cursor.fetchall()
    names = names_for(caller.organization_id, {(kind, str(public_id)) for _, kind, public_id, _, _ in rows})
    marks = [
        {
            "at": at,
            "kind": reference_kind,
            "id": public_id,
            "text": _mark_text(kind, names.get((reference_kind, str(public_id))), count),
        }
        for kind, reference_kind, public_id, at, count in rows
    ]
    alerts = Alert.objects.filter(
        organization_id=caller.organization_id,
        subject__version_id=str(score.version.public_id),
        subject__feature=score.feature,
        opened_at__gte=since,
    ).order_by("-opened_at")[:MARKS_MAX]
    marks += [{"at": alert.opened_at, "kind": "alert", "id": alert.public_id, "text": alert.title} for alert in alerts]
    return sorted(marks, key=lambda mark: mark["at"])


def _mark_text(kind: str, name: str | None, count: int) -> str:
    what = kind.partition(".")[2].replace("_", " ")
    devices = "1 device" if count == 1 else f"{count:,} devices"
    return f"{name}: {what} on {devices}" if name else f"{what.capitalize()} on {devices}"
