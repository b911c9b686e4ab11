"""Tables of rollouts."""

from rollouts.models.deployment import (
    Action,
    ActionFeedback,
    ActionKind,
    ActionState,
    Deployment,
    DeploymentState,
)
from rollouts.models.gate import GateResult, Verdict
from rollouts.models.rollout import Rollout, RolloutEvent, RolloutState, Strategy, Wave

__all__ = [
    "Action",
    "ActionFeedback",
    "ActionKind",
    "ActionState",
    "Deployment",
    "DeploymentState",
    "GateResult",
    "Rollout",
    "RolloutEvent",
    "RolloutState",
    "Strategy",
    "Verdict",
    "Wave",
]
