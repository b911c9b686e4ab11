"""hawkBit's DDI resources as the agent reads them, and the feedback it writes.

Sources: hawkBit's DDI API reference; ``docs/protocol/device.md`` section 3 for the points fixed there.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from flotilla_agent.reasons import Reason, UpdateFailedError
from flotilla_protocol.limits import Sha256Hex

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
MAX_MODEL_BYTES = 20_000_000_000

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_SLEEP = re.compile(r"(\d{1,3}):(\d{2}):(\d{2})\Z")

Execution = Literal["proceeding", "closed", "rejected", "canceled"]
Finished = Literal["none", "success", "failure"]


# --- Resources ------------------------------------------------------------------------------------
class Link(msgspec.Struct, frozen=True):
    """An absolute address."""

    href: Annotated[str, Meta(min_length=1, max_length=4096)]


class RootLinks(msgspec.Struct, frozen=True, rename="camel"):
    """What the root points at; at most one of ``deployment_base`` and ``cancel_action``."""

    deployment_base: Link | None = None
    cancel_action: Link | None = None
    config_data: Link | None = None
    installed_base: Link | None = None
    agent: Link | None = None


class Polling(msgspec.Struct, frozen=True):
    """``sleep`` is HH:MM:SS."""

    sleep: str = ""


class RootConfig(msgspec.Struct, frozen=True):
    """How to poll."""

    polling: Polling = Polling()


class Root(msgspec.Struct, frozen=True):
    """The answer to a poll."""

    config: RootConfig = RootConfig()
    links: RootLinks = msgspec.field(default=RootLinks(), name="_links")

    @property
    def sleep_s(self) -> float | None:
        """The polling interval in seconds, or None when the root does not say."""
        found = _SLEEP.match(self.config.polling.sleep)
        if not found:
            return None
        hours, minutes, seconds = (int(part) for part in found.groups())
        return float(hours * 3600 + minutes * 60 + seconds)


class ArtifactLinks(msgspec.Struct, frozen=True):
    """Where the bytes are; ``download`` (HTTPS) is preferred, as hawkBit's clients do."""

    download: Link | None = None
    download_http: Link | None = msgspec.field(default=None, name="download-http")


class Artifact(msgspec.Struct, frozen=True):
    """One file of a chunk."""

    filename: str
    size: Annotated[int, Meta(ge=0, le=MAX_MODEL_BYTES)]
    hashes: dict[str, str] = {}
    links: ArtifactLinks = msgspec.field(default=ArtifactLinks(), name="_links")

    @property
    def href(self) -> str:
        """The address of the bytes, or an empty string."""
        link = self.links.download or self.links.download_http
        return link.href if link else ""


class Metadata(msgspec.Struct, frozen=True):
    """A key and its value."""

    key: str
    value: str


class Chunk(msgspec.Struct, frozen=True):
    """One model of a deployment."""

    part: str
    version: str
    name: str
    artifacts: Annotated[list[Artifact], Meta(max_length=16)]
    metadata: Annotated[list[Metadata], Meta(max_length=64)] = []


class DeploymentBody(msgspec.Struct, frozen=True):
    """What to do; ``skip`` means: not now."""

    download: Literal["skip", "attempt", "forced"]
    update: Literal["skip", "attempt", "forced"]
    chunks: Annotated[list[Chunk], Meta(max_length=64)]


class Deployment(msgspec.Struct, frozen=True):
    """``deploymentBase``."""

    id: str
    deployment: DeploymentBody


class CancelBody(msgspec.Struct, frozen=True, rename="camel"):
    """Which action to stop."""

    stop_id: str


class Cancel(msgspec.Struct, frozen=True, rename="camel"):
    """``cancelAction``."""

    id: str
    cancel_action: CancelBody


# --- Feedback -------------------------------------------------------------------------------------
class FeedbackResult(msgspec.Struct, frozen=True):
    """hawkBit's result."""

    finished: Finished


class FeedbackStatus(msgspec.Struct, frozen=True):
    """hawkBit's status."""

    execution: Execution
    result: FeedbackResult
    details: list[str]


class Feedback(msgspec.Struct, frozen=True):
    """The body of a feedback."""

    status: FeedbackStatus

    @classmethod
    def of(cls, execution: Execution, finished: Finished, *details: str) -> Feedback:
        """A feedback with these details."""
        return cls(FeedbackStatus(execution, FeedbackResult(finished), list(details)))


# --- What a chunk asks of our agent -----------------------------------------------------------------
class Install(msgspec.Struct, frozen=True):
    """One model to put in place: everything the update needs, independent of the deployment's form."""

    model: str
    version: str
    digest: Sha256Hex
    model_target: str
    manifest_target: str
    model_href: str
    manifest_href: str
    model_size: int
    manifest_size: int


class Order(msgspec.Struct, frozen=True):
    """A deployment in the agent's own words. ``removals`` names the models that are to run no longer."""

    number: int
    kind: Literal["install", "restore", "remove"]
    installs: list[Install]
    removals: list[str]
    soak_s: float
    shadow_every: int
    may_download: bool
    may_install: bool


def action_number(text: str) -> int:
    """An action's id as a number; hawkBit's are decimal and fit in 31 bits.

    Raises:
        UpdateFailedError: it is none.
    """
    if not text.isascii() or not text.isdecimal() or int(text) >= 2**31:
        raise UpdateFailedError(Reason.UNSUPPORTED_DEPLOYMENT, "The action's id is not a number.")
    return int(text)


def order_of(deployment: Deployment) -> Order:
    """What a deployment asks for.

    Raises:
        UpdateFailedError: it asks for nothing this agent can install, or contradicts itself.
    """
    chunks = [chunk for chunk in deployment.deployment.chunks if chunk.part == "model"]
    if not chunks:
        raise UpdateFailedError(Reason.UNSUPPORTED_DEPLOYMENT, "The deployment has no chunk of part 'model'.")
    values = _values(chunks[0])
    try:
        soak_s = float(values.get("flotilla.soak_s", "0"))
        shadow_every = int(values.get("flotilla.shadow_every", "0"))
    except ValueError as error:
        raise UpdateFailedError(
            Reason.UNSUPPORTED_DEPLOYMENT, "flotilla.soak_s or flotilla.shadow_every is not a number."
        ) from error
    if not 0 <= soak_s <= 30 * 86_400 or shadow_every < 0:  # NaN fails the comparison, too
        raise UpdateFailedError(Reason.UNSUPPORTED_DEPLOYMENT, "flotilla.soak_s is out of range.")
    return Order(
        number=action_number(deployment.id),
        kind=_kind(chunks[0]),
        installs=[_install_of(chunk) for chunk in chunks if _kind(chunk) != "remove"],
        removals=[_removal_of(chunk) for chunk in chunks if _kind(chunk) == "remove"],
        soak_s=soak_s,
        shadow_every=shadow_every,
        may_download=deployment.deployment.download != "skip",
        may_install=deployment.deployment.update != "skip",
    )


def _values(chunk: Chunk) -> dict[str, str]:
    return {entry.key: entry.value for entry in chunk.metadata}


def _kind(chunk: Chunk) -> Literal["install", "restore", "remove"]:
    match _values(chunk).get("flotilla.kind"):
        case "restore":
            return "restore"
        case "remove":
            return "remove"
        case _:
            return "install"


def _model_of(chunk: Chunk) -> str:
    # The name becomes a folder's: nothing that could leave it.
    if not _SAFE_NAME.match(chunk.name):
        raise UpdateFailedError(Reason.UNSUPPORTED_DEPLOYMENT, "A model's name cannot be used as a folder.")
    return chunk.name


def _removal_of(chunk: Chunk) -> str:
    # Asked for by its own word, never guessed from files that are missing; and files beside it contradict it.
    if chunk.artifacts or _values(chunk).get("flotilla.digest"):
        raise UpdateFailedError(
            Reason.UNSUPPORTED_DEPLOYMENT, f"{chunk.name} is to be removed and comes with something to install."
        )
    return _model_of(chunk)


def _install_of(chunk: Chunk) -> Install:
    model_name = _model_of(chunk)
    values = _values(chunk)
    files = {artifact.filename: artifact for artifact in chunk.artifacts}
    model, manifest = files.get(MODEL_FILE), files.get(MANIFEST_FILE)
    if not model or not manifest or not model.href or not manifest.href:
        raise UpdateFailedError(
            Reason.UNSUPPORTED_DEPLOYMENT, f"{chunk.name} lacks {MODEL_FILE}, {MANIFEST_FILE} or their links."
        )
    missing = [
        key for key in ("flotilla.digest", "flotilla.target.model", "flotilla.target.manifest") if not values.get(key)
    ]
    if missing:
        raise UpdateFailedError(Reason.UNSUPPORTED_DEPLOYMENT, f"{chunk.name} lacks {', '.join(missing)}.")
    digest = values["flotilla.digest"].lower()
    if model.hashes.get("sha256", digest).lower() != digest:
        raise UpdateFailedError(Reason.DIGEST_MISMATCH, f"{chunk.name}: the deployment names two digests.")
    return Install(
        model=model_name,
        version=chunk.version,
        digest=digest,
        model_target=values["flotilla.target.model"],
        manifest_target=values["flotilla.target.manifest"],
        model_href=model.href,
        manifest_href=manifest.href,
        model_size=model.size,
        manifest_size=manifest.size,
    )
