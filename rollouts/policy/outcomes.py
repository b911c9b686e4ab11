"""What a device's word leads to: reason codes, retries, and what counts as proof."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from rollouts.policy.types import Retry

_BACKOFF_MAX: Final = timedelta(days=1)
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")

FAILED: Final = "failed"  # no code was given: foreign clients send prose
UNSUPPORTED: Final = "unsupported_deployment"
# Trying again would end the same way: the version, not the attempt, is at fault.
FINAL_REASONS: Final = frozenset({"self_test_failed", "runtime_error", "manifest_invalid", UNSUPPORTED, "cancelled"})


def reason_of(details: list[str]) -> str:
    """The reason code of a failure: the first detail when it is one, else ``FAILED``."""
    first = details[0].strip() if details else ""
    return first if _CODE.fullmatch(first) else FAILED


def retry_after(retry: Retry, *, attempt: int, reason: str) -> timedelta | None:
    """How long to wait before the next attempt; None when there is none.

    Args:
        retry: the policy's.
        attempt: attempts made so far, the failed one included.
        reason: its reason code.
    """
    if reason in FINAL_REASONS or attempt >= retry.attempts:
        return None
    wait_s: float = retry.backoff_s * 2 ** (attempt - 1)
    return min(timedelta(seconds=wait_s), _BACKOFF_MAX)


Finding = Literal["attested", "observed", "claimed", "taken_back", "conflict"]

# The device's clock and ours, and the way between, may differ by this much about the length of a soak.
_SOAK_TOLERANCE: Final = 0.1
_SOAK_TOLERANCE_S: Final = 2.0


@dataclass(frozen=True)
class Claim:
    """What a signed report says about one deployment.

    Args:
        running_digest: what the device runs of the deployment's model; empty for nothing.
        wanted_digest: what the deployment asked for.
        previous_digest: what ran before; empty for nothing.
        is_about_action: the last action the report knows is the deployment's, or a later one.
        self_test: ``passed``, ``failed`` or ``not_run``.
        soak_clean: true, false, or None while it lasts.
        soak_seconds: as the device counted.
        elapsed_s: since we learned of the switch.
        soak_s: what the policy asks.
    """

    running_digest: str
    wanted_digest: str
    previous_digest: str
    is_about_action: bool
    self_test: str
    soak_clean: bool | None
    soak_seconds: float
    elapsed_s: float
    soak_s: float


def finding_of(claim: Claim) -> Finding:
    """What a report proves. A report that names another digest than asked for never counts as proof."""
    if claim.running_digest != claim.wanted_digest:
        if not claim.is_about_action:
            return "claimed"  # written before the switch
        if claim.soak_clean is False and claim.running_digest == claim.previous_digest:
            return "taken_back"
        return "conflict"
    needed_s = claim.soak_s * (1 - _SOAK_TOLERANCE) - _SOAK_TOLERANCE_S
    is_soaked = claim.elapsed_s >= needed_s
    if not is_soaked or not claim.is_about_action or claim.soak_clean is False or claim.self_test == "failed":
        return "claimed"
    if claim.soak_clean and claim.self_test == "passed" and claim.soak_seconds >= needed_s:
        return "attested"
    # Signed and naming the right digest, but without all that attestation takes: as good as a poll that names it.
    return "observed" if claim.elapsed_s >= claim.soak_s else "claimed"


_EVIDENCE: Final = ("", "claimed", "observed", "attested")


def is_enough(evidence: str, required: str) -> bool:
    """Whether ``evidence`` counts as proof under a policy that requires ``required``."""
    return _EVIDENCE.index(evidence) >= _EVIDENCE.index(required)


def is_stronger(evidence: str, than: str) -> bool:
    """Whether ``evidence`` is stronger than what is known."""
    return _EVIDENCE.index(evidence) > _EVIDENCE.index(than)
