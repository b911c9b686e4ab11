"""How a simulated device gets a version: signed metadata, bytes by ranges, digests, self-test."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path

from flotilla_agent.client import RefusedError, UnreachableError
from flotilla_agent.ddi import Install
from flotilla_agent.model import ModelError
from flotilla_agent.reasons import Reason, RetryLaterError, UpdateFailedError
from flotilla_agent.simulator.faults import Faults, OfflineError
from flotilla_agent.simulator.outputs import Library
from flotilla_agent.simulator.wire import Wire
from flotilla_agent.trust import MetadataFetcher, Target, Trust
from flotilla_protocol.digests import digest_bytes
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.manifest import manifest_decode

PIECES = 2  # a file is fetched in so many ranges, so that ranges are exercised
METADATA_DEADLINE_S = 60.0


class Verified:
    """What devices of a fleet have verified so far.

    The first devices of each version do everything; later ones may take the result for the same signed
    targets: it would be the same, and a hundred devices need not spend a core on proving it a hundred times.
    """

    def __init__(self, full_verifications: int) -> None:
        self.full_verifications = full_verifications
        self._count: dict[str, int] = {}
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._targets: dict[str, Target] = {}

    def gate(self, install: Install) -> asyncio.Semaphore:
        """Lets as many devices at a time as must verify in full; the others find their result."""
        return self._gates.setdefault(install.digest, asyncio.Semaphore(max(self.full_verifications, 1)))

    def known(self, install: Install) -> tuple[Target, Target] | None:
        """The targets, once enough devices have verified them in full."""
        if self._count.get(install.digest, 0) < self.full_verifications:
            return None
        model, manifest = self._targets.get(install.model_target), self._targets.get(install.manifest_target)
        return (model, manifest) if model and manifest else None

    def learn(self, install: Install, model: Target, manifest: Target) -> None:
        """One more device has verified them in full."""
        self._count[install.digest] = self._count.get(install.digest, 0) + 1
        self._targets[model.path] = model
        self._targets[manifest.path] = manifest


async def targets_of(
    install: Install, *, wire: Wire, root: bytes, metadata_url: str, folder: Path
) -> tuple[Target, Target]:
    """What is signed about a version's two files, by ``tuf``'s own client in a thread.

    Raises:
        UpdateFailedError: ``signature_invalid``.
        RetryLaterError: metadata cannot be fetched.
    """
    loop = asyncio.get_running_loop()

    def get(url: str) -> bytes:
        answer = asyncio.run_coroutine_threadsafe(wire.request("GET", url), loop)
        try:
            return answer.result(METADATA_DEADLINE_S).body
        except (OfflineError, TimeoutError) as error:
            answer.cancel()
            raise UnreachableError("Metadata cannot be fetched.") from error

    def verify() -> dict[str, Target]:
        folder.mkdir(parents=True, exist_ok=True)
        trust = Trust(folder, root, metadata_url, MetadataFetcher(get))
        return trust.targets([install.model_target, install.manifest_target])

    targets = await asyncio.to_thread(verify)
    return targets[install.model_target], targets[install.manifest_target]


async def fetch(href: str, target: Target, *, wire: Wire, faults: Faults) -> bytes:
    """The bytes of a target, fetched in ranges, with the faults of the line, and verified.

    Raises:
        UpdateFailedError: not the signed bytes, or no such file.
        RetryLaterError: the line broke.
    """
    received = bytearray()
    step = max(-(-target.size_bytes // PIECES), 1)
    while len(received) < target.size_bytes:
        start, end = len(received), min(len(received) + step, target.size_bytes) - 1
        try:
            answer = await wire.request(
                "GET", href, headers={"Range": f"bytes={start}-{end}"}, max_bytes=target.size_bytes + 1
            )
        except (UnreachableError, OfflineError) as error:
            raise RetryLaterError(f"The download broke off: {error}") from error
        except RefusedError as error:
            raise UpdateFailedError(Reason.DOWNLOAD_FAILED, str(error)) from error
        if answer.status == HTTPStatus.OK:
            received.clear()  # the whole file, although a part was asked for
        received += answer.body
        if not answer.body:
            raise RetryLaterError("The download ended early.")
        if faults.download_bytes_s:
            await asyncio.sleep(len(answer.body) / faults.download_bytes_s)
    if faults.truncates_download:
        raise RetryLaterError("The download ended early.")
    if faults.corrupts_download:
        received[len(received) // 2] ^= 0xFF
    found = digest_bytes(bytes(received))
    if (found.sha256, found.size_bytes) != (target.sha256, target.size_bytes):
        raise UpdateFailedError(Reason.DIGEST_MISMATCH, f"The bytes of {target.path} are not the signed ones.")
    return bytes(received)


async def download_all(
    install: Install, model: Target, manifest: Target, *, wire: Wire, faults: Faults, library: Library, may_share: bool
) -> None:
    """Get both files of a version into the library.

    Args:
        install: what is asked for.
        model: what is signed about the model file.
        manifest: what is signed about the manifest.
        wire: the device's connection.
        faults: the line's.
        library: where files are kept.
        may_share: whether a file another device has fetched will do.

    Raises:
        UpdateFailedError, RetryLaterError: as ``fetch``; ``digest_mismatch`` too when the deployment asks for
            another file than is signed.
    """
    if model.sha256 != install.digest:
        raise UpdateFailedError(
            Reason.DIGEST_MISMATCH, f"The deployment asks for another file than {model.path} is signed as."
        )
    if may_share and library.has(model.sha256, manifest.sha256) and not faults.corrupts_download:
        return
    manifest_bytes = await fetch(install.manifest_href, manifest, wire=wire, faults=faults)
    model_bytes = await fetch(install.model_href, model, wire=wire, faults=faults)
    await library.keep(model_bytes, manifest_bytes)


def verify_content(install: Install, manifest: Target, library: Library) -> None:
    """Check that the manifest is about this version.

    Raises:
        UpdateFailedError: ``manifest_invalid``.
    """
    try:
        content = manifest_decode(library.manifest_bytes(install.digest, manifest.sha256))
    except (InvalidMessageError, OSError) as error:
        raise UpdateFailedError(Reason.MANIFEST_INVALID, str(error)) from error
    if (content.model, content.version, content.digest) != (install.model, install.version, install.digest):
        raise UpdateFailedError(Reason.MANIFEST_INVALID, f"The manifest is about {content.model} {content.version}.")


async def self_test(install: Install, manifest: Target, *, faults: Faults, library: Library) -> None:
    """Load the version and let it test itself.

    Raises:
        UpdateFailedError: ``self_test_failed``.
    """
    if faults.fails_self_test:
        raise UpdateFailedError(Reason.SELF_TEST_FAILED, "The device's runtime gives other answers than expected.")
    try:
        await library.self_test(install.digest, manifest.sha256)
    except ModelError as error:
        raise UpdateFailedError(Reason.SELF_TEST_FAILED, str(error)) from error
