"""The two state machines of a version, as tables. An absent pair is refused."""

from __future__ import annotations

from models_registry.errors import InvalidTransitionError
from models_registry.models import Approval, VersionState

# What happens to a version: (state, event) -> next state.
VERSION: dict[tuple[VersionState, str], VersionState] = {
    (VersionState.DRAFT, "validate"): VersionState.VALIDATING,
    (VersionState.VALIDATING, "validate"): VersionState.VALIDATING,  # the worker died; another one begins again
    (VersionState.VALIDATING, "pass"): VersionState.READY,
    (VersionState.VALIDATING, "refuse"): VersionState.INVALID,
    (VersionState.DRAFT, "refuse"): VersionState.INVALID,  # its job ended before it began
    (VersionState.READY, "deprecate"): VersionState.DEPRECATED,
}

# What people agree on, for versions that are ready: (approval, event) -> next approval.
APPROVAL: dict[tuple[Approval, str], Approval] = {
    (Approval.NONE, "request"): Approval.REQUESTED,
    (Approval.DECLINED, "request"): Approval.REQUESTED,
    (Approval.REQUESTED, "approve"): Approval.APPROVED,
    (Approval.REQUESTED, "decline"): Approval.DECLINED,
}

# What can be deleted: no plan can name it, and no device has ever got it.
DELETABLE_STATES = frozenset({VersionState.DRAFT, VersionState.INVALID, VersionState.READY})


def version_next(state: str, event: str) -> VersionState:
    """The state after ``event``.

    Raises:
        InvalidTransitionError: it cannot happen in ``state``.
    """
    try:
        return VERSION[VersionState(state), event]
    except KeyError:
        raise InvalidTransitionError(f"A version that is {state} cannot {event}.") from None


def states_before(event: str) -> list[VersionState]:
    """The states in which ``event`` can happen: the condition of the UPDATE that makes it happen."""
    return [state for state, name in VERSION if name == event]


def approval_next(state: str, approval: str, event: str) -> Approval:
    """The approval after ``event``.

    Raises:
        InvalidTransitionError: the version is not ready, or it cannot happen now; the text says what is missing.
    """
    if state != VersionState.READY:
        raise InvalidTransitionError(f"Only a ready version can be approved; this one is {state}.")
    try:
        return APPROVAL[Approval(approval), event]
    except KeyError:
        hint = " Request approval first." if approval in {Approval.NONE, Approval.DECLINED} else ""
        raise InvalidTransitionError(f"Its approval is {approval}; it cannot {event} now.{hint}") from None
