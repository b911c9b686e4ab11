"""A TUF image repository that tests can bend: every file is really signed, with the keys of this
repository.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

ROLES = ("root", "targets", "snapshot", "timestamp")


class Repository:
    """``files`` is what devices get, by file name."""

    def __init__(self) -> None:
        self._signers = {role: CryptoSigner.generate_ed25519() for role in ROLES}
        self._life = timedelta(days=30)
        self._version = 0
        self._targets: dict[str, TargetFile] = {}
        root = Root(expires=self._expires(), consistent_snapshot=False)
        for role, signer in self._signers.items():
            root.add_key(signer.public_key, role)
        self._root = root
        self.files: dict[str, bytes] = {}
        self.root_file = self._signed("root", root)
        self.files["1.root.json"] = self.files["root.json"] = self.root_file
        self.publish()

    def _expires(self) -> datetime:
        return (datetime.now(UTC) + self._life).replace(microsecond=0)

    def _signed(self, role: str, content: Root | Targets | Snapshot | Timestamp) -> bytes:
        metadata = Metadata(content)
        metadata.sign(self._signers[role])
        return metadata.to_bytes()

    def add(self, path: str, content: bytes) -> None:
        """Sign one more target."""
        self._targets[path] = TargetFile.from_data(path, content, ["sha256"])
        self.publish()

    def publish(self) -> None:
        """Sign everything anew, one version higher."""
        self._version += 1
        version, expires = self._version, self._expires()
        self.files |= {
            "targets.json": self._signed("targets", Targets(version, None, expires, dict(self._targets))),
            "snapshot.json": self._signed(
                "snapshot", Snapshot(version, None, expires, {"targets.json": MetaFile(version)})
            ),
            "timestamp.json": self._signed("timestamp", Timestamp(version, None, expires, MetaFile(version))),
        }

    # --- Bending ------------------------------------------------------------------------------------
    def expire(self) -> None:
        """Everything but the root ended yesterday."""
        self._life = timedelta(days=-1)
        self.publish()
        self._life = timedelta(days=30)

    def roll_back(self, files: dict[str, bytes]) -> None:
        """Serve files of before."""
        self.files = dict(files)

    def forge(self) -> None:
        """Sign the targets with a key no root names."""
        sound, self._signers["targets"] = self._signers["targets"], CryptoSigner.generate_ed25519()
        self.publish()
        self._signers["targets"] = sound

    def rotate_root(self) -> None:
        """A new root key, announced by the old one."""
        old, new = self._signers["root"], CryptoSigner.generate_ed25519()
        self._root.version += 1
        self._root.revoke_key(old.public_key.keyid, "root")
        self._root.add_key(new.public_key, "root")
        self._signers["root"] = new
        metadata = Metadata(self._root)
        metadata.sign(old)
        metadata.sign(new, append=True)
        self.files[f"{self._root.version}.root.json"] = self.files["root.json"] = metadata.to_bytes()
        self.publish()
