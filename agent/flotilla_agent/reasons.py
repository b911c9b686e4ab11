"""Why an update failed: every code the agent may send, in one table (``docs/protocol/device.md``, section
3).
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Stable codes; texts beside them may change."""

    DOWNLOAD_FAILED = "download_failed"  # the bytes did not come in full, after all retries
    DOWNLOAD_TOO_LARGE = "download_too_large"  # more bytes than were signed
    DIGEST_MISMATCH = "digest_mismatch"  # bytes, deployment and signed target disagree
    SIGNATURE_INVALID = "signature_invalid"  # TUF metadata forged, expired, rolled back, or target unknown
    MANIFEST_INVALID = "manifest_invalid"  # unreadable, or about something else
    OUT_OF_SPACE = "out_of_space"
    SELF_TEST_FAILED = "self_test_failed"  # cannot be loaded, or answers differ from the expected
    RUNTIME_ERROR = "runtime_error"  # errors in probation, or the process died in it repeatedly
    UNSUPPORTED_DEPLOYMENT = "unsupported_deployment"  # nothing in it this agent can install
    CANCELLED = "cancelled"  # by the operator, before the switch
    INTERNAL_ERROR = "internal_error"  # an unforeseen error; the text names it


class UpdateFailedError(Exception):
    """This update cannot succeed; the running model is untouched (or is put back)."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason
        self.text = text


class RetryLaterError(Exception):
    """This step may succeed later: the network or the control plane is away."""

    def __init__(self, text: str, *, after_s: float = 0.0) -> None:
        super().__init__(text)
        self.after_s = after_s
