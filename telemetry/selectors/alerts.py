"""Alerts and their rules."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from common.clock import now
from common.errors import NotFoundError
from governance.types import Caller
from telemetry.models import Alert, AlertRule, AlertState, Severity


def alerts(*, caller: Caller, state: str | None = None, severity: str | None = None) -> QuerySet[Alert]:
    """The caller's alerts with their rules and who acknowledged them; None does not restrict."""
    rows = Alert.objects.filter(organization_id=caller.organization_id).select_related("rule", "acknowledged_by")
    if state is not None:
        rows = rows.filter(state=state)
    return rows if severity is None else rows.filter(severity=severity)


def alert_for(*, caller: Caller, alert_id: UUID) -> Alert:
    """One alert.

    Raises:
        NotFoundError: no such alert in the caller's organization.
    """
    alert = alerts(caller=caller).filter(public_id=alert_id).first()
    if alert is None:
        raise NotFoundError("There is no such alert.")
    return alert


def alerts_open_counts(*, caller: Caller) -> dict[str, int]:
    """``{open, critical, drift}`` of the alerts that are open and not silenced."""
    is_loud = Q(silenced_until=None) | Q(silenced_until__lte=now())
    return Alert.objects.filter(is_loud, organization_id=caller.organization_id, state=AlertState.OPEN).aggregate(
        open=Count("pk"),
        critical=Count("pk", filter=Q(severity=Severity.CRITICAL)),
        drift=Count("pk", filter=Q(rule__kind="drift")),
    )


def alert_rules(*, caller: Caller) -> QuerySet[AlertRule]:
    """The caller's alert rules."""
    return AlertRule.objects.filter(organization_id=caller.organization_id)


def alert_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Titles of alerts of the organization."""
    rows = Alert.objects.filter(organization_id=organization_id, public_id__in=ids)
    return dict(rows.values_list("public_id", "title"))


def alert_rule_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of alert rules of the organization."""
    rows = AlertRule.objects.filter(organization_id=organization_id, public_id__in=ids)
    return dict(rows.values_list("public_id", "name"))
