"""The state machines of rollouts, deployments and actions, as tables.

An absent pair raises ``InvalidTransitionError``. Every write of a state goes through ``check_*`` here or is a
conditional UPDATE whose ``WHERE state IN (...)`` was taken from ``sources_of_*`` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rollouts.errors import InvalidTransitionError
from rollouts.models import ActionState as A
from rollouts.models import DeploymentState as D
from rollouts.models import RolloutState as R

ROLLOUT: Final[Mapping[str, frozenset[str]]] = {
    # state               next states
    R.DRAFT:             frozenset({R.AWAITING_APPROVAL, R.SCHEDULED, R.PLANNING, R.CANCELLED}),
    R.AWAITING_APPROVAL: frozenset({R.DRAFT, R.SCHEDULED, R.PLANNING, R.CANCELLED}),
    R.SCHEDULED:         frozenset({R.PLANNING, R.CANCELLED}),
    # Back to draft when the fleet changed between preview and plan so that the plan is refused.
    R.PLANNING:          frozenset({R.RUNNING, R.DRAFT, R.CANCELLED}),
    R.RUNNING:           frozenset({R.PAUSED, R.NEEDS_DECISION, R.COMPLETED, R.HALTED, R.CANCELLING}),
    R.PAUSED:            frozenset({R.RUNNING, R.HALTED, R.CANCELLING}),
    R.NEEDS_DECISION:    frozenset({R.RUNNING, R.HALTED, R.CANCELLING}),
    R.COMPLETED:         frozenset({R.ROLLING_BACK}),
    R.HALTED:            frozenset({R.RUNNING, R.ROLLING_BACK, R.CANCELLING}),
    R.ROLLING_BACK:      frozenset({R.ROLLED_BACK}),
    R.ROLLED_BACK:       frozenset(),
    R.CANCELLING:        frozenset({R.CANCELLED}),
    R.CANCELLED:         frozenset(),
}  # fmt: skip

# A device may report a later step without the ones before it: DDI clients skip steps.
_FORWARD: Final = (D.OFFERED, D.DOWNLOADING, D.VERIFYING, D.INSTALLING, D.PROBATION)
_LEAVE: Final = frozenset({D.RETRY_WAIT, D.FAILED, D.CANCELLING, D.CANCELLED})

DEPLOYMENT: Final[Mapping[str, frozenset[str]]] = {
    D.PLANNED:        frozenset({D.OFFERED, D.SKIPPED, D.CANCELLED}),
    D.OFFERED:        frozenset({*_FORWARD[1:], *_LEAVE}),
    D.DOWNLOADING:    frozenset({*_FORWARD[2:], *_LEAVE}),
    D.VERIFYING:      frozenset({*_FORWARD[3:], *_LEAVE}),
    D.INSTALLING:     frozenset({*_FORWARD[4:], *_LEAVE}),
    # A local rollback on the device fails it; a rollback of the rollout restores it.
    D.PROBATION:      frozenset({D.PROVEN, D.FAILED, D.RESTORING}),
    D.PROVEN:         frozenset({D.RESTORING}),
    D.RETRY_WAIT:     frozenset({D.OFFERED, D.FAILED, D.CANCELLED}),
    # Installing again when the device refuses the cancel, probation when it had switched before it heard of it.
    D.CANCELLING:     frozenset({D.CANCELLED, D.INSTALLING, D.PROBATION, D.FAILED}),
    D.CANCELLED:      frozenset(),
    D.RESTORING:      frozenset({D.ROLLED_BACK, D.RESTORE_FAILED}),
    D.ROLLED_BACK:    frozenset(),
    D.RESTORE_FAILED: frozenset(),
    D.FAILED:         frozenset(),
    D.SKIPPED:        frozenset(),
}  # fmt: skip

ACTION: Final[Mapping[str, frozenset[str]]] = {
    A.OPEN:       frozenset({A.CANCELLING, A.CLOSED}),
    A.CANCELLING: frozenset({A.OPEN, A.CLOSED}),  # open again when the device refuses the cancel
    A.CLOSED:     frozenset(),
}  # fmt: skip

# Deployments nothing more happens to by themselves.
DEPLOYMENT_ENDED: Final = frozenset({D.PROVEN} | {state for state, to in DEPLOYMENT.items() if not to})
DEPLOYMENT_OPEN: Final = frozenset(set(DEPLOYMENT) - DEPLOYMENT_ENDED)
# The device is busy with it: it has heard of the action and not ended it.
DEPLOYMENT_IN_MOTION: Final = frozenset({D.DOWNLOADING, D.VERIFYING, D.INSTALLING})
# The device runs, or may run, the rollout's version.
DEPLOYMENT_TREATED: Final = frozenset({D.PROBATION, D.PROVEN})

# States in which devices of released waves are offered the version. Completed ones go on serving latecomers.
ROLLOUT_OFFERING: Final = frozenset({R.RUNNING, R.NEEDS_DECISION, R.COMPLETED})
# States the reconciler has work in.
ROLLOUT_ACTIVE: Final = frozenset({R.PLANNING, R.RUNNING, R.NEEDS_DECISION, R.HALTED, R.ROLLING_BACK, R.CANCELLING})
# A rollout that still holds its devices: another rollout of the same model leaves them alone.
ROLLOUT_HOLDING: Final = frozenset(
    {R.PLANNING, R.RUNNING, R.PAUSED, R.NEEDS_DECISION, R.HALTED, R.ROLLING_BACK, R.CANCELLING}
)


def check_rollout(state: str, to: str) -> None:
    """Refuse a move the table does not have.

    Raises:
        InvalidTransitionError: naming both states.
    """
    _check("rollout", ROLLOUT, state, to)


def check_deployment(state: str, to: str) -> None:
    """As ``check_rollout``, for deployments."""
    _check("deployment", DEPLOYMENT, state, to)


def check_action(state: str, to: str) -> None:
    """As ``check_rollout``, for actions."""
    _check("action", ACTION, state, to)


def can_rollout(state: str, to: str) -> bool:
    """Whether the table has this move."""
    return to in ROLLOUT.get(state, frozenset())


def can_deployment(state: str, to: str) -> bool:
    """Whether the table has this move."""
    return to in DEPLOYMENT.get(state, frozenset())


def sources_of_deployment(to: str) -> list[str]:
    """The states ``to`` may be reached from, for the WHERE of a conditional UPDATE."""
    return sorted(state for state, targets in DEPLOYMENT.items() if to in targets)


def _check(kind: str, table: Mapping[str, frozenset[str]], state: str, to: str) -> None:
    if to not in table.get(state, frozenset()):
        allowed = ", ".join(sorted(table.get(state, frozenset()))) or "nothing: it has ended"
        raise InvalidTransitionError(
            f"A {kind} that is {state} cannot become {to}. From here it may become: {allowed}.",
            context={"kind": kind, "state": state, "to": to},
        )
