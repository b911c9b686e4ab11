"""What rollouts tell: live changes for browsers, notices for the gateways' tables, the event log, timelines.

Topics and payloads are those of ``docs/protocol/live.md``. Call these inside the transaction of the change; they are
sent once it has committed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypedDict
from uuid import UUID, uuid5

from common.live import notify, publish
from rollouts.models import Rollout, RolloutEvent
from rollouts.policy.transitions import ROLLOUT_OFFERING

CHANNEL_RELEASED: Final = "rollout_released"
"""Payload: ``[rollout number, highest wave that is offered]``; 0 while the rollout offers nothing."""
CHANNEL_PLANNED: Final = "rollout_planned"
"""Payload: organization number: what gateways know of its devices' deployments is out of date."""

# Kinds of a device's timeline.
OFFERED: Final = "deployment.offered"
INSTALLED: Final = "deployment.installed"
PROVEN: Final = "deployment.proven"
FAILED: Final = "deployment.failed"
RETRY: Final = "deployment.retry_wait"
CANCELLED: Final = "deployment.cancelled"
ROLLED_BACK: Final = "deployment.rolled_back"
RESTORE_FAILED: Final = "deployment.restore_failed"
CONFLICT: Final = "deployment.conflict"


class RolloutChanged(TypedDict):
    """Data of ``rollout.changed``."""

    state: str
    released_wave: int
    halt_reason: dict[str, str] | None


def deployment_public_id(rollout_id: UUID, device_id: UUID) -> UUID:
    """A deployment's id outside: made of its rollout's and its device's, so that a million need no column for it."""
    return uuid5(rollout_id, str(device_id))


def offered_wave(rollout: Rollout) -> int:
    """The highest wave whose devices are offered the version now."""
    return rollout.released_wave if rollout.state in ROLLOUT_OFFERING else 0


def notify_released(rollout: Rollout) -> None:
    """Tell gateways which waves they may offer; one message, whatever the wave's size."""
    notify(CHANNEL_RELEASED, [rollout.pk, offered_wave(rollout)])


def notify_planned(organization_id: int) -> None:
    """Tell gateways that devices of this organization got new deployments."""
    notify(CHANNEL_PLANNED, organization_id)


def publish_rollout_changed(rollout: Rollout) -> None:
    """Tell browsers how a rollout is now."""
    data: RolloutChanged = {
        "state": str(rollout.state),
        "released_wave": rollout.released_wave,
        "halt_reason": rollout.halt_reason,
    }
    for topic in ("rollouts", f"rollout:{rollout.public_id}"):
        publish(
            organization_id=rollout.organization_id,
            topic=topic,
            kind="rollout.changed",
            id=rollout.public_id,
            data=dict(data),
        )


def publish_counts(*, organization_id: int, rollout_id: UUID, data: dict[str, Any]) -> None:
    """Tell browsers how many deployments are in which state."""
    publish(
        organization_id=organization_id,
        topic=f"rollout:{rollout_id}",
        kind="deployment.counts",
        id=rollout_id,
        data=data,
    )
    publish(
        organization_id=organization_id,
        topic="rollouts",
        kind="deployment.counts",
        id=rollout_id,
        data={"counts": data["counts"]},
    )


def publish_gate_changed(*, rollout: Rollout, gate: str, data: dict[str, Any]) -> None:
    """Tell browsers what a gate says."""
    publish(
        organization_id=rollout.organization_id,
        topic=f"rollout:{rollout.public_id}",
        kind="gate.changed",
        id=gate,
        data=data,
    )


def publish_deployment_changed(
    *, organization_id: int, device_id: UUID, deployment_id: UUID, data: dict[str, Any]
) -> None:
    """Tell an open device page how its deployment goes."""
    publish(
        organization_id=organization_id,
        topic=f"device:{device_id}",
        kind="deployment.changed",
        id=deployment_id,
        data=data,
    )


def rollout_event_append(
    *, rollout: Rollout, kind: str, text: str, at: datetime, data: dict[str, Any] | None = None
) -> RolloutEvent:
    """Append to the rollout's event log and tell its open page.

    Args:
        rollout: whose log.
        kind: ``<entity>.<what happened>``, for example ``wave.released``.
        text: one sentence.
        at: when.
        data: small JSON.
    """
    event = RolloutEvent.objects.create(rollout=rollout, at=at, kind=kind, text=text, data=data or {})
    publish(
        organization_id=rollout.organization_id,
        topic=f"rollout:{rollout.public_id}",
        kind="rollout.event",
        id=event.public_id,
        data={"id": str(event.public_id), "at": at.isoformat(), "kind": kind, "text": text, "data": event.data},
    )
    return event
