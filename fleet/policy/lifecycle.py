"""Which moves a device's state allows."""

from __future__ import annotations

from typing import Final

from fleet.errors import InvalidTransitionError
from fleet.models import DeviceState as S

#                      move            from           to
MOVES: Final = {
    "accept":       {S.PENDING:        S.ACCEPTED,
                     S.QUARANTINED:    S.ACCEPTED},
    "quarantine":   {S.ACCEPTED:       S.QUARANTINED},
    "decommission": {S.PENDING:        S.DECOMMISSIONED,
                     S.ACCEPTED:       S.DECOMMISSIONED,
                     S.QUARANTINED:    S.DECOMMISSIONED,
                     S.REJECTED:       S.DECOMMISSIONED},
}  # fmt: skip

MAY_CONNECT: Final = frozenset({S.ACCEPTED, S.QUARANTINED})
"""States whose devices get access tokens. A quarantined device may poll, and is told nothing."""


def next_state(move: str, state: str) -> S:
    """Where ``move`` leads from ``state``.

    Raises:
        InvalidTransitionError: nowhere.
    """
    target = MOVES[move].get(S(state))
    if target is None:
        raise InvalidTransitionError(
            f"A device that is {state} cannot take the move {move!r}. Read it again: somebody may have been faster.",
            context={"move": move, "state": state},
        )
    return target
