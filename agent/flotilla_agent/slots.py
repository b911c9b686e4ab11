"""Two slots per model, and one symbolic link that says which of them runs.

``models/<model>/{a,b}/{model.onnx, manifest.json, slot.json}`` and ``models/<model>/current -> a``. The link
is replaced by rename, so that at every instant, power cut included, it names one complete, verified slot.
``slot.json`` is written last and makes a slot complete.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from flotilla_agent.ddi import MANIFEST_FILE, MODEL_FILE
from flotilla_agent.files import folder_make, folder_sync, link_atomic, read_or_none, write_atomic
from flotilla_protocol.digests import digest_file
from flotilla_protocol.manifest import Manifest, manifest_decode

Label = Literal["a", "b"]
LABELS: tuple[Label, Label] = ("a", "b")


class SlotRecord(msgspec.Struct, frozen=True):
    """What a complete slot holds; the digests are those that were signed."""

    version: str
    digest: str
    manifest_digest: str
    installed_at: datetime


class Slot(msgspec.Struct, frozen=True):
    """A complete slot."""

    model: str
    label: Label
    folder: Path
    record: SlotRecord

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.folder / MODEL_FILE

    def manifest(self) -> Manifest:
        """The manifest in this slot.

        Raises:
            InvalidMessageError: it cannot be read.
        """
        return manifest_decode((self.folder / MANIFEST_FILE).read_bytes())

    def is_sound(self) -> bool:
        """Whether both files still have the signed digests: disks decay, and people edit files."""
        try:
            return (
                digest_file(self.model_path).sha256 == self.record.digest
                and digest_file(self.folder / MANIFEST_FILE).sha256 == self.record.manifest_digest
            )
        except OSError:
            return False


class Slots:
    """All models of the device."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def models(self) -> list[str]:
        """Names of the models that have slots, sorted."""
        return sorted(folder.name for folder in self._root.iterdir() if folder.is_dir())

    def folder(self, model: str, label: Label) -> Path:
        """The slot's folder, made if missing."""
        return folder_make(self._root / model / label)

    def slot(self, model: str, label: Label | None) -> Slot | None:
        """The complete slot of that label, or None."""
        if label is None:
            return None
        folder = self._root / model / label
        content = read_or_none(folder / "slot.json")
        if content is None:
            return None
        return Slot(model, label, folder, msgspec.json.decode(content, type=SlotRecord))

    def current_label(self, model: str) -> Label | None:
        """The label the link names."""
        link = self._root / model / "current"
        if not link.is_symlink():
            return None
        name = link.readlink().name
        return next((label for label in LABELS if label == name), None)

    def current(self, model: str) -> Slot | None:
        """The slot that runs."""
        return self.slot(model, self.current_label(model))

    def spare_label(self, model: str) -> Label:
        """The label an update of this model is written to."""
        return "b" if self.current_label(model) == "a" else "a"

    def label_of(self, model: str, version: str, digest: str) -> Label | None:
        """The label of a complete slot that holds this version's file; the running one is preferred."""
        for label in sorted(LABELS, key=lambda label: label != self.current_label(model)):
            slot = self.slot(model, label)
            if slot is not None and (slot.record.version, slot.record.digest) == (version, digest):
                return label
        return None

    def begin(self, model: str, label: Label) -> None:
        """Say that the slot's content is about to change: from here on it is not complete."""
        folder = self.folder(model, label)
        (folder / "slot.json").unlink(missing_ok=True)
        folder_sync(folder)

    def complete(self, model: str, label: Label, record: SlotRecord) -> None:
        """Say that the slot's files are verified and in place."""
        write_atomic(self.folder(model, label) / "slot.json", msgspec.json.encode(record))

    def switch(self, model: str, label: Label | None) -> None:
        """Let this slot run, or none. Atomic and durable; idempotent."""
        folder = self._root / model
        if label is not None:
            link_atomic(folder_make(folder) / "current", label)
        elif folder.exists():
            (folder / "current").unlink(missing_ok=True)
            folder_sync(folder)

    def discard(self, model: str, label: Label) -> None:
        """Empty a slot that does not run."""
        if self.current_label(model) != label:
            self.begin(model, label)
            shutil.rmtree(self._root / model / label, ignore_errors=True)

    def clear(self, model: str) -> None:
        """Empty both slots of a model that runs no longer."""
        for label in LABELS:
            if (self._root / model / label).exists():
                self.discard(model, label)

    def repair(self, model: str) -> Slot | None:
        """The slot to run at start: the current one, or the other when the current one has decayed.

        The switch to the other slot is made durable, so that a report names what runs. A model without a link
        was taken back and stays off.
        """
        if self.current_label(model) is None:
            return None
        current = self.current(model)
        if current is not None and current.is_sound():
            return current
        other = self.slot(model, self.spare_label(model))
        if other is not None and other.is_sound():
            self.switch(model, other.label)
            return other
        return None
