"""The engine of rollouts: reads the whole state, does the next thing, and takes no hints.

Runs on a timer and on a nudge. Every pass is idempotent: killed between any two statements, the next pass does what is
left, because each rollout's pass is one transaction under the rollout's lock.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction

from common.clock import now as clock_now
from common.errors import DomainError
from models_registry.models import VersionState
from rollouts import events
from rollouts.errors import VersionNotReleasableError
from rollouts.models import Deployment, DeploymentState, Rollout, RolloutState, Wave
from rollouts.policy.progress import Decision, GateState, WaveFacts, wave_decide
from rollouts.policy.transitions import DEPLOYMENT_ENDED, ROLLOUT_ACTIVE
from rollouts.policy.types import Policy, policy_from
from rollouts.services.changes import rollout_move, rollout_set
from rollouts.services.gates import gates_evaluate
from rollouts.services.locks import rollout_lock
from rollouts.services.planner import planned_previous_versions, rollout_plan
from rollouts.services.rollouts import BY_PERSON, BY_VERSION
from rollouts.services.supersede import older_deployments_supersede
from rollouts.services.timers import deployments_tick
from rollouts.services.withdraw import devices_withdraw, withdrawal_open

logger = logging.getLogger(__name__)
_ROLLOUTS_MAX: Final = 200  # per pass; the one that waited longest first
R = RolloutState

# Stamped when they are taken up, not when they are done: one that fails must not come first for ever. Those another
# reconciler or a person holds are left for the next pass.
_TAKE_UP: Final = """
UPDATE rollouts_rollout SET looked_at = %(at)s WHERE id IN (
    SELECT id FROM rollouts_rollout WHERE state = ANY(%(active)s)
    ORDER BY looked_at NULLS FIRST, id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) RETURNING state = 'planning', id
"""
_FACTS: Final = """
SELECT d.state, count(*),
    count(*) FILTER (WHERE v.last_seen_at >= %(reachable_since)s AND v.state = 'accepted'),
    count(*) FILTER (WHERE d.state = 'probation' AND d.state_at < %(unproven_before)s)
FROM rollouts_deployment d JOIN fleet_device v ON v.id = d.device_id
WHERE d.rollout_id = %(rollout_id)s AND d.wave = %(wave)s
GROUP BY d.state
"""


def rollouts_reconcile(*, now: datetime | None = None) -> int:
    """One pass: active rollouts, those looked at longest ago first, then what time does to deployments.

    Of those it takes up, rollouts to be planned come last: a million devices take seconds the others need not wait.

    A rollout that fails is logged and does not stop the rest.

    Returns:
        How many rollouts were looked at.
    """
    at = now or clock_now()
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_UP, {"at": at, "active": sorted(ROLLOUT_ACTIVE), "limit": _ROLLOUTS_MAX})
        numbers = [number for _, number in sorted(cursor.fetchall())]
    for number in numbers:
        try:
            rollout_reconcile(rollout_id=number, now=at)
        except Exception:  # one bad rollout must not stop the others
            logger.exception("rollout could not be reconciled", extra={"rollout": number})
    deployments_tick(at=at)
    return len(numbers)


def rollout_reconcile(*, rollout_id: int, now: datetime) -> None:
    """Do the next thing for one rollout, in one transaction. Idempotent; safe to run twice at once.

    Args:
        rollout_id: its number.
        now: the time of the pass.
    """
    try:
        with transaction.atomic():
            rollout = rollout_lock(rollout_id, is_patient=False)
            if rollout is None:
                return
            policy = policy_from(rollout.policy)
            if rollout.state in {R.RUNNING, R.NEEDS_DECISION} and rollout.version.state == VersionState.DEPRECATED:
                _halt_deprecated(rollout, at=now)
            elif rollout.state == R.PLANNING:
                _plan(rollout, at=now)
            elif rollout.state == R.RUNNING:
                _advance(rollout, policy, at=now)
            elif rollout.state == R.NEEDS_DECISION:
                _watch(rollout, policy, at=now)
            elif rollout.state == R.HALTED:
                _after_halt(rollout, policy, at=now)
            elif rollout.state in {R.ROLLING_BACK, R.CANCELLING}:
                _withdraw(rollout, policy, at=now)
    except DomainError as error:
        _refuse(rollout_id, error, at=now)


def _plan(rollout: Rollout, *, at: datetime) -> None:
    version = rollout.version
    if version.state == VersionState.DEPRECATED:
        text = f"{version.model.name} {version.version} was deprecated."
        raise VersionNotReleasableError(text, fields={"version": text})
    plan = rollout_plan(rollout=rollout, at=at)
    superseded = older_deployments_supersede(rollout=rollout, at=at)
    left_out = sum(count for reason, count in plan.skipped.items())
    text = f"{plan.device_count:,} devices in {len(plan.waves)} waves" + (
        f", {left_out:,} left out" if left_out else ""
    )
    summary = {
        "device_count": plan.device_count,
        "previous_versions": planned_previous_versions(plan),
        "skipped": dict(plan.skipped),
    }
    data = {**summary, "waves": {wave.number: wave.device_count for wave in plan.waves}, "superseded": superseded}
    rollout_move(rollout, R.RUNNING, at=at, kind="rollout.planned", text=f"Planned: {text}", data=data, plan=summary)
    events.notify_planned(rollout.organization_id)
    _release_next(rollout, at=at)


def _refuse(rollout_id: int, error: DomainError, *, at: datetime) -> None:
    """A plan that may not be carried out goes back to its author; anything else is for the log."""
    with transaction.atomic():
        rollout = rollout_lock(rollout_id, is_patient=True)
        if rollout is None or rollout.state != R.PLANNING:
            raise error
        rollout_move(
            rollout,
            R.DRAFT,
            at=at,
            kind="rollout.plan_refused",
            text=f"The plan was refused: {error.text}",
            data={"fields": error.fields},
            started_at=None,
        )


def _release_next(rollout: Rollout, *, at: datetime) -> None:
    """Release the next wave that has devices: one number, whatever its size. Complete when there is none."""
    number = rollout.released_wave
    while True:
        number += 1
        wave = Wave.objects.filter(rollout=rollout, number=number).first()
        if wave is None:
            _complete(rollout, at=at)
            return
        if wave.device_count:
            break
        Wave.objects.filter(pk=wave.pk).update(released_at=at, passed_at=at)
    Wave.objects.filter(pk=wave.pk).update(released_at=at)
    rollout_set(rollout, released_wave=number, judged_from=at, gates_at=None)
    events.rollout_event_append(
        rollout=rollout,
        kind="wave.released",
        text=f"Wave {number} released ({wave.name}), {wave.device_count:,} devices",
        at=at,
        data={"wave": number, "device_count": wave.device_count},
    )


def _complete(rollout: Rollout, *, at: datetime) -> None:
    open_count = Deployment.objects.filter(rollout=rollout).exclude(state__in=sorted(DEPLOYMENT_ENDED)).count()
    late = f"; {_devices(open_count)} not ended, to be served on return" if open_count else ""
    rollout_move(
        rollout, R.COMPLETED, at=at, kind="rollout.completed", text=f"Completed{late}", data={"open": open_count}
    )


def _advance(rollout: Rollout, policy: Policy, *, at: datetime) -> None:
    wave = Wave.objects.filter(rollout=rollout, number=rollout.released_wave).first()
    if wave is None or wave.passed_at is not None:
        # None released yet, or a person let the last one pass.
        _release_next(rollout, at=at)
        return
    decision = _assess(rollout, policy, wave, at=at)
    if decision is None or decision.step == "hold":
        return
    if decision.step == "stop":
        _halt(rollout, decision, at=at)
    elif decision.step == "ask":
        rollout_move(
            rollout,
            R.NEEDS_DECISION,
            at=at,
            kind="rollout.needs_decision",
            text=decision.text,
            data={"wave": wave.number, "gate": decision.gate.name if decision.gate else ""},
        )
    else:
        Wave.objects.filter(pk=wave.pk).update(passed_at=at)
        events.rollout_event_append(
            rollout=rollout, kind="wave.passed", text=f"Wave {wave.number} passed", at=at, data={"wave": wave.number}
        )
        _release_next(rollout, at=at)


def _watch(rollout: Rollout, policy: Policy, *, at: datetime) -> None:
    """While a person is being waited for: only harm acts by itself."""
    wave = Wave.objects.filter(rollout=rollout, number=rollout.released_wave).first()
    decision = _assess(rollout, policy, wave, at=at) if wave is not None else None
    if decision is not None and decision.step == "stop":
        _halt(rollout, decision, at=at)


def _assess(rollout: Rollout, policy: Policy, wave: Wave, *, at: datetime) -> Decision | None:
    """Look at a wave; None when it was looked at less than ``gate_interval_s`` ago."""
    if rollout.gates_at is not None and (at - rollout.gates_at).total_seconds() < policy.gate_interval_s * 0.95:
        return None
    Rollout.objects.filter(pk=rollout.pk).update(gates_at=at)
    rollout.gates_at = at
    facts = wave_facts(rollout, policy, wave, at=at)
    gates: list[GateState] = []
    if facts.judged or facts.moving:
        gates = gates_evaluate(rollout=rollout, policy=policy, wave=wave, at=at)
    return wave_decide(policy, facts, gates, judged_from=rollout.judged_from or at, now=at)


def wave_facts(rollout: Rollout, policy: Policy, wave: Wave, *, at: datetime) -> WaveFacts:
    """Where the devices of a wave are now."""
    limit = timedelta(seconds=policy.soak_s + policy.timeouts.proof_s)
    parameters: dict[str, Any] = {
        "rollout_id": rollout.pk,
        "wave": wave.number,
        "reachable_since": at - timedelta(seconds=policy.timeouts.reachable_s),
        "unproven_before": at - limit,
    }
    proven = failed = moving = unproven = unreachable = total = 0
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, parameters)
        for state, count, reachable, overdue in cursor.fetchall():
            if state in {DeploymentState.SKIPPED, DeploymentState.CANCELLED}:
                continue
            total += count
            if state == DeploymentState.PROVEN:
                proven += count
            elif state in DEPLOYMENT_ENDED:
                failed += count
            elif state == DeploymentState.PROBATION:
                # Claimed and silent for too long is not proven, whether it can be reached or not.
                unproven += overdue
                moving += max(0, reachable - overdue)
                unreachable += count - overdue - max(0, reachable - overdue)
            else:
                moving += reachable
                unreachable += count - reachable
    return WaveFacts(
        number=wave.number,
        device_count=total,
        proven=proven,
        failed=failed,
        moving=moving,
        unproven=unproven,
        unreachable=unreachable,
    )


def _halt(rollout: Rollout, decision: Decision, *, at: datetime) -> None:
    gate = decision.gate
    assert gate is not None
    rollout_move(
        rollout,
        R.HALTED,
        at=at,
        kind="rollout.halted",
        text=f"Halted by gate {gate.name}: {gate.text}",
        data={"gate": gate.name, "metric": gate.metric, "wave": rollout.released_wave},
        halt_reason={"gate": gate.name, "metric": gate.metric, "text": gate.text},
    )


def _halt_deprecated(rollout: Rollout, *, at: datetime) -> None:
    """A deprecated version goes no further. Devices that run it keep it, so nothing goes back by itself."""
    version = rollout.version
    text = f"{version.model.name} {version.version} was deprecated; devices that run it keep it."
    rollout_move(
        rollout,
        R.HALTED,
        at=at,
        kind="rollout.halted",
        text=f"Halted: {text}",
        data={"gate": BY_VERSION, "metric": "deprecated", "wave": rollout.released_wave},
        halt_reason={"gate": BY_VERSION, "metric": "deprecated", "text": text},
    )


def _after_halt(rollout: Rollout, policy: Policy, *, at: datetime) -> None:
    """What a gate halted goes back by itself, if the policy says so; what people halted waits for them."""
    by_person = (rollout.halt_reason or {}).get("gate") in {BY_PERSON, BY_VERSION}
    if policy.rollback_on_halt and not by_person:
        rollout_move(
            rollout, R.ROLLING_BACK, at=at, kind="rollout.rollback_started", text="Rollback started, as the policy says"
        )
        _withdraw(rollout, policy, at=at)


def _withdraw(rollout: Rollout, policy: Policy, *, at: datetime) -> None:
    is_rollback = rollout.state == R.ROLLING_BACK
    reason = "rollout_rolled_back" if is_rollback else "rollout_cancelled"
    if devices_withdraw(rollout, at=at, reason=reason, is_rollback=is_rollback):
        return
    reachable, others = withdrawal_open(
        rollout,
        reachable_since=at - timedelta(seconds=policy.timeouts.reachable_s),
        is_rollback=is_rollback,
    )
    if reachable:
        return
    late = f"; {_devices(others)} cannot be reached, to follow on return" if others else ""
    kept = Deployment.objects.filter(rollout=rollout, state=DeploymentState.RESTORE_FAILED).count()
    late += f"; {_devices(kept)} could not go back" if kept else ""
    if is_rollback:
        rollout_move(rollout, R.ROLLED_BACK, at=at, kind="rollout.rolled_back", text=f"Rolled back{late}")
    else:
        rollout_move(rollout, R.CANCELLED, at=at, kind="rollout.cancelled_done", text=f"Cancelled{late}")


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count:,} devices"
