"""What may be believed: TUF metadata of the organization's image repository.

Root of trust is the root that came with enrolment; ``tuf``'s client follows root rotations from there,
refuses expired, forged and rolled back metadata, and remembers versions in the state folder. Nothing else
decides which bytes may run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from tuf.api.exceptions import BadVersionNumberError, DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from flotilla_agent.client import ControlPlane, RefusedError, UnreachableError
from flotilla_agent.reasons import Reason, RetryLaterError, UpdateFailedError

# Bounds of metadata files, bytes; a fleet's targets file is the only one that grows.
LIMITS = UpdaterConfig(
    max_root_rotations=64,
    max_delegations=8,
    root_max_length=512_000,
    timestamp_max_length=16_384,
    snapshot_max_length=1_000_000,
    targets_max_length=20_000_000,
)
_BLOCK_BYTES = 64 * 1024


class Target(msgspec.Struct, frozen=True):
    """What was signed about one file."""

    path: str
    size_bytes: int
    sha256: str


class BearerFetcher(FetcherInterface):
    """Fetches metadata with the device's access token; ``download_bytes`` above it bounds the length."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            with self._control_plane.stream("GET", url) as response:
                yield from response.iter_bytes(_BLOCK_BYTES)
        except RefusedError as error:
            raise DownloadHTTPError(str(error), error.status) from error
        except UnreachableError as error:
            raise DownloadError(str(error)) from error


class MetadataFetcher(FetcherInterface):
    """Fetches metadata through any function from address to bytes (the simulator's)."""

    def __init__(self, get: Callable[[str], bytes]) -> None:
        self._get = get

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield self._get(url)
        except RefusedError as error:
            raise DownloadHTTPError(str(error), error.status) from error
        except UnreachableError as error:
            raise DownloadError(str(error)) from error


class Trust:
    """The verified view of the image repository.

    Args:
        folder: where ``tuf`` keeps what it has seen; survives restarts, so that older metadata is refused.
        root: the root of first trust.
        metadata_url: where the files are.
        fetcher: how they are fetched.
    """

    def __init__(self, folder: Path, root: bytes, metadata_url: str, fetcher: FetcherInterface) -> None:
        self._folder = folder
        self._root = root
        self._metadata_url = metadata_url
        self._fetcher = fetcher

    def targets(self, paths: list[str]) -> dict[str, Target]:
        """Refresh, verify, and return what was signed about each path.

        Raises:
            UpdateFailedError: ``signature_invalid``: metadata does not verify, or a path was never signed.
            RetryLaterError: metadata cannot be fetched.
        """
        try:
            return self._targets(paths)
        except BadVersionNumberError as first:
            # Metadata replaced between two fetches looks like this, too; a rollback attack looks so twice.
            try:
                return self._targets(paths)
            except (RepositoryError, DownloadError) as error:
                raise _judged(error) from first
        except (RepositoryError, DownloadError) as error:
            raise _judged(error) from error

    def _targets(self, paths: list[str]) -> dict[str, Target]:
        updater = Updater(
            metadata_dir=str(self._folder),
            metadata_base_url=self._metadata_url,
            fetcher=self._fetcher,
            config=LIMITS,
            bootstrap=self._root,
        )
        updater.refresh()
        found: dict[str, Target] = {}
        for path in paths:
            info = updater.get_targetinfo(path)
            if info is None:
                raise UpdateFailedError(Reason.SIGNATURE_INVALID, f"{path} was never signed.")
            sha256 = info.hashes.get("sha256")
            if sha256 is None:
                raise UpdateFailedError(Reason.SIGNATURE_INVALID, f"{path} was signed without a SHA-256.")
            found[path] = Target(path, info.length, sha256.lower())
        return found


def _judged(error: RepositoryError | DownloadError) -> UpdateFailedError | RetryLaterError:
    if isinstance(error, RepositoryError):
        text = f"The signed metadata does not verify: {error or type(error).__name__}"
        return UpdateFailedError(Reason.SIGNATURE_INVALID, text)
    return RetryLaterError(f"Signed metadata cannot be fetched: {error}")
