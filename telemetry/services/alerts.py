"""Alerts: opened and resolved by evaluations, acknowledged, silenced and resolved by people."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from common.clock import now
from common.errors import NotFoundError
from fleet.models import HardwareProfile, Region
from governance.services.audit import audit_write
from governance.types import Caller
from telemetry import events
from telemetry.errors import AlertResolvedError, InvalidSpanError
from telemetry.models import Alert, AlertRule, AlertState, RuleKind
from telemetry.policy.drift_alert import (
    RESOLVE_AFTER,
    DriftFinding,
    Finding,
    drift_data,
    drift_finding,
    drift_text,
    drift_title,
)
from telemetry.types import DriftCell

_POOL = "the smaller regions together"


# --- By evaluations -------------------------------------------------------------------------------
def drift_alerts_update(*, organization_id: int, at: datetime, cells: Sequence[DriftCell]) -> None:
    """Open, update and resolve the organization's drift alerts after an evaluation. Call inside its transaction."""
    regions = dict(Region.objects.filter(organization_id=organization_id).values_list("pk", "name"))
    profiles = dict(HardwareProfile.objects.filter(organization_id=organization_id).values_list("pk", "name"))
    groups: dict[tuple[int, int | None], list[DriftCell]] = {}
    for cell in cells:
        groups.setdefault((cell.version_id, cell.region_id), []).append(cell)
    for rule in AlertRule.objects.filter(organization_id=organization_id, kind=RuleKind.DRIFT):
        findings = {
            _fingerprint(rule, version_id, region_id): drift_finding(group, rule.threshold)
            for (version_id, region_id), group in groups.items()
        }
        if not rule.is_enabled:
            for alert in Alert.objects.filter(rule=rule, state=AlertState.OPEN):
                _drift_alert_calm(alert, at=at, reason="Its rule was turned off.")
            continue
        newest = _newest_by_fingerprint(rule, list(findings))
        for fingerprint, finding in findings.items():
            _drift_alert_move(
                rule=rule,
                alert=newest.get(fingerprint),
                fingerprint=fingerprint,
                finding=finding,
                at=at,
                names=(regions, profiles),
            )
        reported = {(cell.model, regions.get(cell.region_id or 0)) for cell in cells}
        for alert in Alert.objects.filter(rule=rule, state=AlertState.OPEN).exclude(fingerprint__in=list(findings)):
            # Silence is no proof: only devices that report another version there say that this one is gone.
            if (alert.subject.get("model"), alert.subject.get("region")) in reported:
                _drift_alert_calm(alert, at=at, reason="The devices there report another version now.")


def _fingerprint(rule: AlertRule, version_id: int, region_id: int | None) -> str:
    return hashlib.sha256(f"drift:{rule.pk}:{version_id}:{region_id}".encode()).hexdigest()


def _newest_by_fingerprint(rule: AlertRule, fingerprints: list[str]) -> dict[str, Alert]:
    rows = Alert.objects.filter(rule=rule, fingerprint__in=fingerprints).order_by("fingerprint", "-pk")
    return {alert.fingerprint: alert for alert in rows.distinct("fingerprint")}


def _drift_alert_move(
    *,
    rule: AlertRule,
    alert: Alert | None,
    fingerprint: str,
    finding: DriftFinding,
    at: datetime,
    names: tuple[dict[int, str], dict[int, str]],
) -> None:
    is_open = alert is not None and alert.state == AlertState.OPEN
    if finding.finding is Finding.DRIFTS:
        if alert is not None and not is_open and alert.data.get("is_held"):
            return  # a person has closed it; it opens again only after it has been calm once
        _drift_alert_write(
            rule=rule, alert=alert if is_open else None, fingerprint=fingerprint, finding=finding, at=at, names=names
        )
    elif alert is not None and finding.finding is Finding.CALM:
        if is_open:
            _drift_alert_calm(alert, at=at, reason="It is back at its reference.")
        elif alert.data.pop("is_held", False):
            alert.save(update_fields=["data"])
    elif alert is not None and alert.data.pop("calm_evaluations", 0):
        alert.save(update_fields=["data"])


def _drift_alert_write(
    *,
    rule: AlertRule,
    alert: Alert | None,
    fingerprint: str,
    finding: DriftFinding,
    at: datetime,
    names: tuple[dict[int, str], dict[int, str]],
) -> None:
    cell = finding.worst
    assert cell is not None
    region = None if cell.region_id is None else names[0].get(cell.region_id)
    profile = None if cell.hardware_profile_id is None else names[1].get(cell.hardware_profile_id)
    place = region or _POOL
    where = f"{place} on {profile}" if profile else place
    history = alert.data.get("history", []) if alert else []
    columns: dict[str, Any] = {
        "severity": rule.severity,
        "title": drift_title(cell.feature, cell.cause, where),
        "text": drift_text(finding, place=where, threshold=rule.threshold),
        "subject": {
            "model": cell.model,
            "version": cell.version,
            "version_id": str(cell.version_public_id),
            "region": region,
            "hardware_profile": profile,
            "feature": cell.feature,
        },
        "data": drift_data(finding, threshold=rule.threshold, history=history, at_text=at.isoformat()),
        "updated_at": at,
    }
    if alert is None:
        alert = Alert.objects.create(
            organization_id=rule.organization_id, rule=rule, fingerprint=fingerprint, opened_at=at, **columns
        )
    else:
        for name, value in columns.items():
            setattr(alert, name, value)
        alert.save(update_fields=list(columns))
    _tell(alert)


def _drift_alert_calm(alert: Alert, *, at: datetime, reason: str) -> None:
    calm = alert.data.get("calm_evaluations", 0) + 1
    alert.updated_at = at
    if calm < RESOLVE_AFTER:
        alert.data["calm_evaluations"] = calm
        alert.save(update_fields=["data", "updated_at"])
        return
    alert.state = AlertState.RESOLVED
    alert.resolved_at = at
    alert.data["resolved_because"] = reason
    alert.save(update_fields=["state", "resolved_at", "data", "updated_at"])
    _tell(alert)


def _tell(alert: Alert) -> None:
    events.publish_alert_changed(
        organization_id=alert.organization_id,
        alert_id=alert.public_id,
        state=alert.state,
        severity=alert.severity,
        title=alert.title,
    )


# --- By people ------------------------------------------------------------------------------------
def alert_acknowledge(*, caller: Caller, alert_id: UUID) -> Alert:
    """Say that somebody looks after it. A second time changes nothing.

    Raises:
        NotFoundError: no such alert in the caller's organization.
        AlertResolvedError: it is resolved.
    """
    with transaction.atomic():
        alert = _open_alert(caller, alert_id)
        if alert.acknowledged_at is None:
            alert.acknowledged_at, alert.acknowledged_by_id = now(), caller.user_id
            alert.save(update_fields=["acknowledged_at", "acknowledged_by"])
            _audit(caller, alert, "alert.acknowledge")
            _tell(alert)
    return alert


def alert_silence(*, caller: Caller, alert_id: UUID, until: datetime) -> Alert:
    """Keep it out of the way until then; it stays open.

    Raises:
        NotFoundError: no such alert in the caller's organization.
        AlertResolvedError: it is resolved.
        InvalidSpanError: ``until`` is not in the future.
    """
    if until <= now():
        raise InvalidSpanError("That time has passed.", fields={"until": "Must lie in the future."})
    with transaction.atomic():
        alert = _open_alert(caller, alert_id)
        alert.silenced_until = until
        alert.save(update_fields=["silenced_until"])
        _audit(caller, alert, "alert.silence", {"until": until.isoformat()})
        _tell(alert)
    return alert


def alert_resolve(*, caller: Caller, alert_id: UUID, reason: str = "") -> Alert:
    """Close it. It opens again only after its cause has been away once.

    Raises:
        NotFoundError: no such alert in the caller's organization.
        AlertResolvedError: it is resolved already.
    """
    with transaction.atomic():
        alert = _open_alert(caller, alert_id)
        alert.state, alert.resolved_at = AlertState.RESOLVED, now()
        alert.data = {**alert.data, "is_held": True}
        alert.save(update_fields=["state", "resolved_at", "data"])
        _audit(caller, alert, "alert.resolve", reason=reason)
        _tell(alert)
    return alert


def _open_alert(caller: Caller, alert_id: UUID) -> Alert:
    alert = (
        Alert.objects.select_for_update(of=("self",))
        .filter(organization_id=caller.organization_id, public_id=alert_id)
        .select_related("rule", "acknowledged_by")
        .first()
    )
    if alert is None:
        raise NotFoundError("There is no such alert.")
    if alert.state == AlertState.RESOLVED:
        raise AlertResolvedError("The alert is resolved; nothing was changed.")
    return alert


def _audit(caller: Caller, alert: Alert, action: str, data: dict[str, Any] | None = None, reason: str = "") -> None:
    audit_write(
        organization_id=caller.organization_id,
        actor=caller.actor,
        action=action,
        object_kind="alert",
        object_id=str(alert.public_id),
        reason=reason,
        data=data,
    )
