"""What people do with rollouts. Each is one transaction with its audit entry."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from common.clock import now
from common.errors import InvalidInputError
from common.nudge import nudge
from governance.models import Role
from governance.services.audit import audit_write
from governance.types import Caller
from models_registry.models import Approval, ModelVersion, VersionState
from rollouts import events
from rollouts.errors import (
    PlanRefusedError,
    RollbackRefusedError,
    RolloutNotFoundError,
    VersionNotReleasableError,
)
from rollouts.models import Deployment, DeploymentState, Rollout, RolloutState, Strategy, Wave
from rollouts.policy.transitions import DEPLOYMENT_OPEN, DEPLOYMENT_TREATED, ROLLOUT_HOLDING, check_rollout
from rollouts.policy.types import Policy, policy_from, selector_from, to_json
from rollouts.services.changes import rollout_move
from rollouts.services.locks import rollout_lock
from rollouts.services.planner import Preview, plan_preview

RECONCILE_TASK: Final = "rollouts.reconcile"
QUEUE: Final = "rollouts"
BY_PERSON: Final = "person"  # the gate of a halt_reason when a person halted
BY_VERSION: Final = "version"  # and when the version was deprecated
_NAME_MAX: Final = 128


def rollout_create(
    *, caller: Caller, name: str, version_id: UUID, strategy: str, selector: Any, policy: Any
) -> Rollout:
    """Make a draft.

    Args:
        caller: an operator.
        name: shown in lists, 1 to 128 characters.
        version_id: of a ready, approved version.
        strategy: a value of ``Strategy``.
        selector: plain JSON, see ``policy.types.Selector``.
        policy: plain JSON, see ``policy.types.Policy``.

    Raises:
        NotPermittedError: the caller is no operator.
        InvalidPolicyError: selector or policy break a rule.
        InvalidInputError: name or strategy do.
        VersionNotReleasableError: the version is not ready or not approved; or there is none (404).
    """
    caller.require(Role.OPERATOR)
    checked_selector, checked_policy = selector_from(selector), policy_asked(policy)
    name = name.strip()
    if not 0 < len(name) <= _NAME_MAX or "\x00" in name:
        raise InvalidInputError("The name has 1 to 128 characters.", fields={"name": "1 to 128 characters"})
    if strategy not in Strategy.values:
        text = f"Known strategies: {', '.join(Strategy.values)}."
        raise InvalidInputError(text, fields={"strategy": text})
    version = _releasable(caller, version_id)
    at = now()
    with transaction.atomic():
        rollout = Rollout.objects.create(
            organization_id=caller.organization_id,
            name=name,
            version=version,
            strategy=strategy,
            selector=to_json(checked_selector),
            policy=to_json(checked_policy),
            salt=secrets.token_hex(8),
            created_by_id=caller.user_id,
            created_at=at,
        )
        events.rollout_event_append(rollout=rollout, kind="rollout.created", text="Created as a draft", at=at)
        events.publish_rollout_changed(rollout)
        _audit(caller, rollout, "create", "", {"name": name, "version": str(version.public_id)})
    return rollout


def rollout_preview(*, caller: Caller, version_id: UUID, strategy: str, selector: Any, policy: Any) -> Preview:
    """What ``rollout_start`` would plan now, and what would forbid it. Writes nothing.

    Counts of small strata may move by a device: a draft has a salt of its own.
    """
    version = _releasable(caller, version_id)
    if strategy not in Strategy.values:
        text = f"Known strategies: {', '.join(Strategy.values)}."
        raise InvalidInputError(text, fields={"strategy": text})
    return plan_preview(
        version=version,
        strategy=strategy,
        selector=selector_from(selector),
        policy=policy_asked(policy),
        salt="preview",
    )


def policy_asked(value: Any) -> Policy:
    """The policy somebody asks for, what they left out by this installation's defaults.

    Raises:
        InvalidPolicyError: it breaks a rule.
    """
    return policy_from(value, poll_interval_s=settings.DEVICE_POLL_INTERVAL_S)


def rollout_start(*, caller: Caller, rollout_id: UUID) -> Rollout:
    """Plan and run a draft. The plan is checked here and made by a worker.

    Raises:
        PlanRefusedError: a wave has nothing to be judged by, or no device would get the version.
        VersionNotReleasableError: the version was deprecated or declined meanwhile.
        InvalidTransitionError: it is no draft.
    """

    def act(rollout: Rollout, at: datetime) -> None:
        check_rollout(rollout.state, RolloutState.PLANNING)
        version = _releasable(caller, rollout.version.public_id)
        problems = plan_preview(
            version=version,
            strategy=rollout.strategy,
            selector=selector_from(rollout.selector),
            policy=policy_from(rollout.policy),
            salt=rollout.salt,
            rollout_id=rollout.pk,
        ).problems
        if problems:
            raise PlanRefusedError(" ".join(problems.values()), fields=problems)
        rollout_move(rollout, RolloutState.PLANNING, at=at, kind="rollout.started", text="Started", started_at=at)

    return _act(caller, rollout_id, "start", "", act)


def rollout_pause(*, caller: Caller, rollout_id: UUID, reason: str = "") -> Rollout:
    """Release nothing further, offer nothing new. Devices that have begun go on.

    Raises:
        InvalidTransitionError: it is not running.
    """
    return _act(
        caller, rollout_id, "pause", reason,
        lambda rollout, at: rollout_move(
            rollout, RolloutState.PAUSED, at=at, kind="rollout.paused", text=_said("Paused", reason)
        ),
    )  # fmt: skip


def rollout_resume(*, caller: Caller, rollout_id: UUID, reason: str = "") -> Rollout:
    """Go on after a pause, a halt, or a question.

    After a question (``needs_decision``) the person's word takes the place of the verdict: the wave counts as passed.
    After a halt, gates look only at what happens from now on; a reason is required.

    Raises:
        InvalidInputError: a reason is required and missing.
        VersionNotReleasableError: the version was deprecated meanwhile.
        InvalidTransitionError: it is neither paused, halted, nor waiting for a decision.
    """

    def act(rollout: Rollout, at: datetime) -> None:
        before = rollout.state
        if before in {RolloutState.HALTED, RolloutState.NEEDS_DECISION}:
            _require(reason)
        check_rollout(before, RolloutState.RUNNING)
        _releasable(caller, rollout.version.public_id)
        columns: dict[str, Any] = {"judged_from": at, "gates_at": None}
        if before == RolloutState.PAUSED:
            columns = {}
        if before == RolloutState.HALTED:
            columns["halt_reason"] = None
        rollout_move(
            rollout, RolloutState.RUNNING, at=at, kind="rollout.resumed", text=_said("Resumed", reason), **columns
        )
        if before == RolloutState.NEEDS_DECISION:
            Wave.objects.filter(rollout=rollout, number=rollout.released_wave, passed_at=None).update(passed_at=at)
            events.rollout_event_append(
                rollout=rollout,
                kind="wave.accepted",
                text=f"Wave {rollout.released_wave} accepted by a person",
                at=at,
                data={"wave": rollout.released_wave},
            )

    return _act(caller, rollout_id, "resume", reason, act)


def rollout_halt(*, caller: Caller, rollout_id: UUID, reason: str) -> Rollout:
    """Stop. Devices keep what they run until somebody resumes, rolls back or cancels.

    Raises:
        InvalidInputError: no reason was given.
        InvalidTransitionError: it is not running.
    """
    _require(reason)
    return _act(
        caller, rollout_id, "halt", reason,
        lambda rollout, at: rollout_move(
            rollout, RolloutState.HALTED, at=at, kind="rollout.halted", text=_said("Halted", reason),
            halt_reason={"gate": BY_PERSON, "metric": "", "text": reason},
        ),
    )  # fmt: skip


def rollout_rollback(*, caller: Caller, rollout_id: UUID, reason: str) -> Rollout:
    """Take the version back from every device that got it: a halted or completed rollout, or halt it and do so.

    Raises:
        InvalidInputError: no reason was given.
        RollbackRefusedError: it has completed, and another rollout of the model is under way on its devices.
        InvalidTransitionError: there is nothing to take back, or it is under way.
    """
    _require(reason)

    def act(rollout: Rollout, at: datetime) -> None:
        if rollout.state in {RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.NEEDS_DECISION}:
            rollout_move(rollout, RolloutState.HALTED, at=at, kind="rollout.halted", text=_said("Halted", reason))
        check_rollout(rollout.state, RolloutState.ROLLING_BACK)
        _refuse_beside_another(rollout)
        rollout_move(
            rollout,
            RolloutState.ROLLING_BACK,
            at=at,
            kind="rollout.rollback_started",
            text=_said("Rollback started", reason),
            halt_reason=rollout.halt_reason or {"gate": BY_PERSON, "metric": "", "text": reason},
            finished_at=None,
        )

    return _act(caller, rollout_id, "rollback", reason, act)


def rollout_cancel(*, caller: Caller, rollout_id: UUID, reason: str = "") -> Rollout:
    """Give the version to nobody further. Devices that run it keep it.

    Raises:
        InvalidTransitionError: it has ended, or is going back.
    """

    def act(rollout: Rollout, at: datetime) -> None:
        is_begun = rollout.state not in {
            RolloutState.DRAFT,
            RolloutState.AWAITING_APPROVAL,
            RolloutState.SCHEDULED,
            RolloutState.PLANNING,
        }
        to = RolloutState.CANCELLING if is_begun else RolloutState.CANCELLED
        rollout_move(rollout, to, at=at, kind="rollout.cancelled", text=_said("Cancelled", reason))

    return _act(caller, rollout_id, "cancel", reason, act)


def reconcile_nudge() -> None:
    """Wake the reconciler once the transaction has committed."""
    transaction.on_commit(lambda: nudge(RECONCILE_TASK, queue=QUEUE))


def _act(caller: Caller, rollout_id: UUID, verb: str, reason: str, act: Callable[[Rollout, datetime], None]) -> Rollout:
    caller.require(Role.OPERATOR)
    at = now()
    with transaction.atomic():
        number = (
            Rollout.objects.filter(organization_id=caller.organization_id, public_id=rollout_id)
            .values_list("pk", flat=True)
            .first()
        )
        rollout = rollout_lock(number, is_patient=True) if number is not None else None
        if rollout is None:
            raise RolloutNotFoundError("There is no such rollout.")
        before = rollout.state
        act(rollout, at)
        _audit(caller, rollout, verb, reason, {"from": before, "to": rollout.state})
        reconcile_nudge()
    return rollout


def _refuse_beside_another(rollout: Rollout) -> None:
    """Two rollouts must not move one model on one device: each would change what the other returns to."""
    holding = (
        Rollout.objects.filter(version__model_id=rollout.version.model_id, state__in=sorted(ROLLOUT_HOLDING))
        .exclude(pk=rollout.pk)
        .filter(
            Exists(
                Deployment.objects.filter(
                    rollout=OuterRef("pk"),
                    state__in=sorted({*DEPLOYMENT_OPEN, DeploymentState.PROVEN}),
                    device_id__in=Deployment.objects.filter(
                        rollout=rollout, state__in=sorted(DEPLOYMENT_TREATED)
                    ).values("device_id"),
                )
            )
        )
        .first()
    )
    if holding is not None:
        raise RollbackRefusedError(
            f"{holding.name} is under way on devices of this rollout. Roll it back, cancel it, or let it finish first."
        )


def _audit(caller: Caller, rollout: Rollout, verb: str, reason: str, data: dict[str, Any]) -> None:
    audit_write(
        organization_id=caller.organization_id,
        actor=caller.actor,
        action=f"rollout.{verb}",
        object_kind="rollout",
        object_id=str(rollout.public_id),
        reason=reason,
        data=data,
    )


def _releasable(caller: Caller, version_id: UUID) -> ModelVersion:
    version = (
        ModelVersion.objects.select_related("model")
        .filter(organization_id=caller.organization_id, public_id=version_id)
        .first()
    )
    if version is None:
        text = "There is no such version."
        raise InvalidInputError(text, fields={"version": text})
    if version.state != VersionState.READY or version.approval != Approval.APPROVED:
        raise VersionNotReleasableError(
            f"Only ready and approved versions roll out; {version.model.name} {version.version} is {version.state}, "
            f"approval {version.approval}.",
            fields={"version": "not ready and approved"},
        )
    return version


def _require(reason: str) -> None:
    if not reason.strip():
        raise InvalidInputError("Say why: a reason is required.", fields={"reason": "required"})


def _said(what: str, reason: str) -> str:
    return f"{what}: {reason}" if reason.strip() else what
