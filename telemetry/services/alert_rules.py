"""Alert rules."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from common.clock import now
from common.errors import NotFoundError
from governance.models import Organization
from governance.services.audit import audit_write
from governance.types import Caller
from telemetry.errors import InvalidThresholdError
from telemetry.models import AlertRule, RuleKind, Severity
from telemetry.policy.drift import PSI_ALERT

DEFAULT_NAME = "Drift of inputs and outputs"
_THRESHOLD_MAX = 10.0


def alert_rule_defaults_ensure() -> int:
    """Give every organization without a drift rule the default one. Idempotent. Returns how many were made."""
    organizations = Organization.objects.exclude(
        pk__in=AlertRule.objects.filter(kind=RuleKind.DRIFT).values("organization_id")
    ).order_by("pk")
    rules = [
        AlertRule(
            organization=organization,
            name=DEFAULT_NAME,
            kind=RuleKind.DRIFT,
            threshold=PSI_ALERT,
            severity=Severity.CRITICAL,
            created_at=now(),
        )
        for organization in organizations
    ]
    AlertRule.objects.bulk_create(rules, ignore_conflicts=True)
    return len(rules)


def alert_rule_update(
    *,
    caller: Caller,
    rule_id: UUID,
    threshold: float | None = None,
    severity: str | None = None,
    is_enabled: bool | None = None,
) -> AlertRule:
    """Change a rule; what is None stays. Open alerts follow with the next evaluation.

    Raises:
        NotFoundError: no such rule in the caller's organization.
        InvalidThresholdError: not above 0 and at most 10.
    """
    if threshold is not None and not 0 < threshold <= _THRESHOLD_MAX:
        raise InvalidThresholdError(
            "The threshold is out of range.", fields={"threshold": f"Above 0 and at most {_THRESHOLD_MAX:.0f}."}
        )
    changes: dict[str, Any] = {
        name: value
        for name, value in (("threshold", threshold), ("severity", severity), ("is_enabled", is_enabled))
        if value is not None
    }
    with transaction.atomic():
        rule = (
            AlertRule.objects.select_for_update()
            .filter(organization_id=caller.organization_id, public_id=rule_id)
            .first()
        )
        if rule is None:
            raise NotFoundError("There is no such alert rule.")
        before = {name: getattr(rule, name) for name in changes}
        for name, value in changes.items():
            setattr(rule, name, value)
        if changes:
            rule.save(update_fields=list(changes))
            audit_write(
                organization_id=caller.organization_id,
                actor=caller.actor,
                action="alert_rule.update",
                object_kind="alert_rule",
                object_id=str(rule.public_id),
                data={"before": before, "after": changes},
            )
    return rule
