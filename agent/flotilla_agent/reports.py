"""Signed version reports: what runs, and how the last update went."""

from __future__ import annotations

import secrets

from flotilla_agent import __version__
from flotilla_agent.client import ControlPlane
from flotilla_agent.slots import Slots
from flotilla_agent.update.state import Step, UpdateState
from flotilla_protocol.identity import PrivateKey, report_sign
from flotilla_protocol.messages import RunningModel, SignedReport, Soak, VersionReport

_SOAKING = frozenset({Step.SWITCH, Step.CLOSE, Step.PROBATION})


def report_make(*, control_plane: ControlPlane, slots: Slots, state: UpdateState, soaking: Soak) -> VersionReport:
    """The report of this moment.

    Args:
        control_plane: gives id and clock.
        slots: what the links name.
        state: the last update's outcome.
        soaking: how the soak goes; used while it lasts.
    """
    current = [slot for model in slots.models() if (slot := slots.current(model)) is not None]
    return VersionReport(
        controller_id=control_plane.addresses.controller_id,
        action_number=state.number,
        running=[
            RunningModel(
                model=slot.model,
                version=slot.record.version,
                digest=slot.record.digest,
                since=slot.record.installed_at,
                slot=slot.label,
            )
            for slot in current
        ],
        self_test=state.self_test,
        soak=soaking if state.step in _SOAKING else state.soak,
        agent_version=__version__,
        sent_at=control_plane.clock.now(),
        nonce=secrets.token_urlsafe(18),
    )


def report_send(control_plane: ControlPlane, url: str, report: VersionReport, key: PrivateKey) -> None:
    """Sign and send.

    Raises:
        UnreachableError: not now.
        RefusedError: the control plane does not take it.
    """
    control_plane.request("POST", url, message=SignedReport(report_sign(report, key)))
