"""Tests talk to this machine and to nobody else."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

_REAL = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}


class NetworkBlockedError(RuntimeError):
    """A test tried to reach another machine."""


def _refuse_strangers(address: Any) -> None:
    if not isinstance(address, tuple):
        return  # a Unix socket's path
    host = str(address[0])
    if host in {"", "localhost"}:
        return
    try:
        is_local = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise NetworkBlockedError(f"tests reach only this machine, not {host}")


def block_network() -> None:
    """Refuse every connection that does not stay on this machine, for the life of this process. Idempotent."""

    def guarded(name: str) -> Any:
        real = _REAL[name]

        def method(self: socket.socket, *arguments: Any) -> Any:
            if self.family in {socket.AF_INET, socket.AF_INET6}:
                _refuse_strangers(arguments[-1])
            return real(self, *arguments)

        return method

    for name in _REAL:
        setattr(socket.socket, name, guarded(name))
