"""Asks the control plane what it wants: the DDI root, and whatever it links to."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus

from flotilla_agent import __version__
from flotilla_agent.client import ControlPlane
from flotilla_agent.ddi import Cancel, Deployment, Root, action_number
from flotilla_agent.hardware import attributes_found
from flotilla_agent.reasons import UpdateFailedError
from flotilla_agent.update.machine import Machine
from flotilla_protocol.messages import AgentConfiguration

log = logging.getLogger(__name__)

DEFAULT_INTERVAL_S = 60.0
CONFIGURATION_INTERVAL_S = 600.0


class Poller:
    """One device's polls.

    Args:
        control_plane: the connection.
        machine: gets orders and cancels.
        attributes: what the device says of itself when asked.
    """

    def __init__(self, control_plane: ControlPlane, machine: Machine, attributes: dict[str, str]) -> None:
        self._control_plane = control_plane
        self._machine = machine
        self._attributes = {**attributes_found(), "agent": __version__, **attributes}
        self._etag = ""
        self._sleep_s: float | None = None
        self._configured_at = float("-inf")
        self.configuration: AgentConfiguration | None = None

    @property
    def interval_s(self) -> float:
        """Seconds between two polls."""
        if self.configuration is not None:
            return self.configuration.poll_interval_s
        return self._sleep_s or DEFAULT_INTERVAL_S

    def poll(self) -> None:
        """Poll once and act on the answer.

        The ``ETag`` is remembered only when all it stands for was dealt with: a lost connection in between
        must not turn a pending order into "nothing new".

        Raises:
            UnreachableError, RefusedError: not now, or not for us.
        """
        headers = {"If-None-Match": self._etag} if self._etag else {}
        answer = self._control_plane.request("GET", self._control_plane.addresses.root, headers=headers)
        is_new = answer.status != HTTPStatus.NOT_MODIFIED
        if is_new or time.monotonic() - self._configured_at >= CONFIGURATION_INTERVAL_S:
            self.configure()
        if is_new:
            self._etag = ""
            root = answer.message(Root)
            self._sleep_s = root.sleep_s
            self._act_on(root)
            self._etag = answer.headers.get("ETag", "")

    def configure(self) -> AgentConfiguration:
        """Fetch the configuration, and measure the clock by it.

        Raises:
            UnreachableError, RefusedError: as for ``poll``.
        """
        sent_at = time.time()
        answer = self._control_plane.request("GET", self._control_plane.addresses.configuration)
        configuration = answer.message(AgentConfiguration)
        self._control_plane.clock.measure(configuration.server_time_ms, sent_at=sent_at, received_at=time.time())
        self.configuration = configuration
        self._configured_at = time.monotonic()
        return configuration

    def _act_on(self, root: Root) -> None:
        links = root.links
        if links.config_data is not None:
            self._control_plane.request(
                "PUT",
                f"{self._control_plane.addresses.root}/configData",
                message={"mode": "merge", "data": self._attributes},
            )
        try:
            if links.cancel_action is not None:
                cancel = self._control_plane.request("GET", links.cancel_action.href).message(Cancel)
                self._machine.cancel(action_number(cancel.cancel_action.stop_id))
            elif links.deployment_base is not None:
                deployment = self._control_plane.request("GET", links.deployment_base.href)
                self._machine.offer(deployment.message(Deployment))
        except UpdateFailedError as error:
            log.warning("The control plane asks for something that cannot be answered: %s", error)
