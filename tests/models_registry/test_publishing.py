"""A file becomes a version: published, validated, described; or refused with its reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from common import clock
from common.ids import uuid7
from common.jobs.service import job_cancel, jobs_run_due
from common.models import Job, JobState
from flotilla_protocol.manifest import manifest_decode
from governance.models import AuditEntry
from models_registry.models import Artifact, ModelVersion, Variant
from models_registry.services import sandbox, uploads, validation
from models_registry.services.catalogue import VALIDATE_JOB
from models_registry.storage.base import key_for
from models_registry.storage.registry import default_store
from tests.factories.people import Person
from tests.models_registry.assets import make_assets
from tests.models_registry.publishing import Api, sandbox_in_process, validate

pytestmark = pytest.mark.django_db

SOUND = make_assets.sound().SerializeToString()


@pytest.fixture
def api(operator: Person) -> Api:
    return Api(operator)


@pytest.fixture(autouse=True)
def _sandbox(request: pytest.FixtureRequest) -> Iterator[None]:
    """Only tests marked ``real_sandbox`` pay for child processes; what the child does is the same code."""
    if request.node.get_closest_marker("real_sandbox"):
        yield
        return
    with sandbox_in_process():
        yield


@pytest.fixture
def model(api: Api, assets: Path) -> dict[str, Any]:
    made = api.model()
    api.evaluation_set(made, assets / "sound.npz")
    return made


@pytest.mark.real_sandbox
def test_a_sound_file_becomes_a_ready_version(api: Api, model: dict[str, Any]) -> None:
    made = api.version(model, SOUND, description="the first", lineage={"code": "git:abc"})
    assert made["state"] == "draft"
    assert made["approval"] == "none"
    assert made["evaluation"] is None
    assert made["variants"] == []

    assert validate() == 1

    ready = api.read(made)
    assert (ready["state"], ready["state_reason"]) == ("ready", None)
    assert ready["model"] == {"id": model["id"], "name": "digits"}
    assert ready["lineage"] == {"code": "git:abc"}
    assert ready["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["N", 64]}]
    assert ready["details"]["format"] == "onnx"
    assert ready["details"]["labels"][0] == "zero"
    assert ready["details"]["size_bytes"] == len(SOUND)
    assert {"memory", "cpu"} <= set(ready["details"]["sandbox"])
    assert ready["evaluation"]["accuracy"] == pytest.approx(0.9)
    assert ready["evaluation_set"]["row_count"] == 400
    assert ready["has_reference_profile"] is True
    (variant,) = ready["variants"]
    assert variant["name"] == "fp32"
    assert variant["hardware_profile"] is None
    assert variant["size_bytes"] == len(SOUND)
    assert [store["name"] for store in variant["stores"]] == ["main"]
    assert variant["measured"]["accuracy"] == pytest.approx(0.9)

    profile = api.get(f"versions/{made['id']}/profile/").json()
    brightness = next(feature for feature in profile["features"] if feature["name"] == "brightness")
    assert (len(brightness["edges"]), len(brightness["counts"])) == (61, 60)
    assert sum(brightness["counts"]) == 400

    job = Job.objects.get(kind=VALIDATE_JOB)
    assert (job.state, job.result, job.progress_ratio) == (JobState.DONE, {"state": "ready"}, 1.0)
    actions = list(AuditEntry.objects.order_by("number").values_list("action", flat=True))
    assert actions[-2:] == ["version.create", "version.ready"]


def test_the_manifest_is_what_devices_need(api: Api, model: dict[str, Any]) -> None:
    made = api.version(model, SOUND)
    validate()
    variant = Variant.objects.get(version__public_id=made["id"])
    assert variant.manifest is not None
    with default_store().open_range(key_for(variant.manifest.sha256)) as reader:
        manifest = manifest_decode(b"".join(reader))
    assert (manifest.model, manifest.version, manifest.variant) == ("digits", "1.0.0", "fp32")
    assert manifest.digest == variant.artifact.sha256
    assert manifest.scores is not None
    assert manifest.scores.output == "probabilities"
    assert manifest.self_test.inputs["x"].array().shape == (8, 64)
    assert manifest.self_test.expected["probabilities"].array().shape == (8, 10)
    assert {feature.name for feature in manifest.profile.features} >= {"brightness", "confidence", "class"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (make_assets.NOT_ONNX["text.onnx"](), "unknown_format"),
        (make_assets.NOT_ONNX["truncated.onnx"](), "unknown_format"),
        (make_assets.nan_outputs().SerializeToString(), "nan_outputs"),
        (make_assets.external_data().SerializeToString(), "external_data"),
    ],
    ids=["text", "truncated", "nan_outputs", "external_data"],
)
def test_a_file_that_is_no_sound_model_is_invalid_with_its_reason(
    api: Api, model: dict[str, Any], body: bytes, code: str
) -> None:
    made = api.version(model, body)
    validate()
    found = api.read(made)
    assert found["state"] == "invalid"
    assert found["state_reason"]["code"] == code
    assert len(found["state_reason"]["text"]) > 20
    assert found["variants"] == []
    assert found["has_reference_profile"] is False
    assert api.get(f"versions/{made['id']}/profile/").status_code == 404
    # The verdict is the job's result: nothing to try again.
    assert Job.objects.get(kind=VALIDATE_JOB).state == JobState.DONE
    assert api.post(f"versions/{made['id']}/request-approval/", reason="").status_code == 409


@pytest.mark.django_db(transaction=True)
def test_an_invalid_version_can_be_deleted_and_its_number_used_again(api: Api, model: dict[str, Any]) -> None:
    made = api.version(model, b"not a model" * 10)
    validate()
    digest = ModelVersion.objects.get(public_id=made["id"]).source.sha256
    answer = api.post("versions/", model="digits", version="1.0.0", upload=api.upload(SOUND))
    assert (answer.status_code, answer.json()["code"]) == (409, "models_registry.name_taken")
    assert api.delete(f"versions/{made['id']}/").status_code == 204
    assert api.get(f"versions/{made['id']}/").status_code == 404
    assert not Artifact.objects.filter(sha256=digest).exists()
    assert not default_store().path(key_for(digest)).exists()  # type: ignore[union-attr]
    again = api.version(model, SOUND)
    validate()
    assert api.read(again)["state"] == "ready"


@pytest.mark.django_db(transaction=True)
def test_bytes_another_organization_holds_too_stay(
    api: Api, model: dict[str, Any], outsider: Person, assets: Path
) -> None:
    body = b"no model at all" * 10
    theirs = Api(outsider)
    their_model = theirs.model()
    theirs.evaluation_set(their_model, assets / "sound.npz")
    theirs.version(their_model, body)
    made = api.version(model, body)
    validate()
    assert api.delete(f"versions/{made['id']}/").status_code == 204
    kept = Artifact.objects.get(organization_id=outsider.caller.organization_id, size_bytes=len(body))
    assert default_store().stat(key_for(kept.sha256)).size_bytes == len(body)


def test_a_truncated_upload_cannot_be_published(api: Api, model: dict[str, Any], operator: Person) -> None:
    upload = uploads.upload_create(caller=operator.caller, filename="model.onnx", length_bytes=len(SOUND))
    writer = uploads.UploadWriter(caller=operator.caller, upload_id=upload.public_id, offset_bytes=0)
    writer.write(SOUND[:-1])
    writer.finish()
    writer.close()
    answer = api.post("versions/", model="digits", version="1.0.0", upload=str(upload.public_id))
    assert (answer.status_code, answer.json()["code"]) == (409, "models_registry.upload_incomplete")
    assert not ModelVersion.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"version": ""},
        {"version": "../../etc"},
        {"version": "1 0"},
        {"version": "x" * 65},
        {"model": "no-such-model"},
        {"upload": "not an id"},
        {"lineage": {"unknown": "x"}},
        {"lineage": {"code": "x" * 501}},
        {"lineage": ["list"]},
        {"description": "x" * 4001},
        {"description": "null\x00byte"},
    ],
    ids=str,
)
def test_a_field_that_cannot_be_used_is_named(api: Api, model: dict[str, Any], change: dict[str, Any]) -> None:
    body = {"model": "digits", "version": "1.0.0", "upload": api.upload(SOUND)} | change
    answer = api.post("versions/", **body)
    assert answer.status_code == 400, answer.content
    assert any(name.startswith(next(iter(change))) for name in answer.json()["fields"])
    assert not ModelVersion.objects.exists()


def test_without_an_evaluation_set_nothing_can_be_measured(api: Api) -> None:
    model = api.model("bare")
    answer = api.post("versions/", model="bare", version="1.0.0", upload=api.upload(SOUND))
    assert answer.status_code == 400
    assert "evaluation_set" in answer.json()["fields"]
    assert model["latest_version"] is None


@pytest.mark.real_sandbox
@pytest.mark.parametrize("name", ["pickle.npz", "cut.npz"])
def test_a_hostile_evaluation_set_is_refused_at_the_door(api: Api, assets: Path, name: str) -> None:
    model = api.model()
    upload = api.upload((assets / name).read_bytes(), name)
    answer = api.post(f"models/{model['id']}/evaluation-sets/", name="bad", upload=upload)
    assert answer.status_code == 400
    assert answer.json()["code"] == f"models_registry.{make_assets.HOSTILE_SETS[name][1]}"
    assert "upload" in answer.json()["fields"]
    assert api.get(f"models/{model['id']}/evaluation-sets/").json()["results"] == []


@pytest.mark.parametrize("name", ["", "Digits", "a b", "../x", "-x", "x" * 65])
def test_a_model_name_that_cannot_be_used_is_refused(api: Api, name: str) -> None:
    assert api.post("models/", name=name).status_code == 400


def test_a_name_is_given_once(api: Api, model: dict[str, Any], assets: Path) -> None:
    assert api.post("models/", name="digits").status_code == 409
    upload = api.upload((assets / "sound.npz").read_bytes(), "sound.npz")
    answer = api.post(f"models/{model['id']}/evaluation-sets/", name="held out", upload=upload)
    assert answer.status_code == 409


def test_lists_filter_and_page(api: Api, model: dict[str, Any]) -> None:
    for number in range(3):
        api.version(model, SOUND, version=f"1.{number}.0")
    validate()
    api.version(model, SOUND, version="2.0.0")
    first = api.get("versions/", model="digits", limit=2).json()
    assert [row["version"] for row in first["results"]] == ["2.0.0", "1.2.0"]
    second = api.client.get(first["next"]).json()
    assert [row["version"] for row in second["results"]] == ["1.1.0", "1.0.0"]
    assert second["next"] is None
    assert [row["version"] for row in api.get("versions/", state="draft").json()["results"]] == ["2.0.0"]
    assert api.get("versions/", model="other").json()["results"] == []
    assert api.get("versions/", state="nonsense").status_code == 400
    (shown,) = api.get("models/").json()["results"]
    assert shown["version_count"] == 4
    assert shown["latest_version"]["version"] == "2.0.0"
    assert shown["device_count"] == {"proven": 0, "claimed": 0}


def test_the_list_costs_the_same_however_many_versions_there_are(
    api: Api, model: dict[str, Any], django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(4):
        api.version(model, SOUND, version=f"1.{number}.0")
    validate()
    with django_assert_max_num_queries(6):
        assert len(api.get("versions/").json()["results"]) == 4


def test_a_store_that_is_away_delays_validation_and_loses_nothing(api: Api, model: dict[str, Any]) -> None:
    file = make_assets.sound()
    file.doc_string = str(uuid7())  # parallel runs share the store: this content is ours alone to hide
    made = api.version(model, file.SerializeToString())
    source = ModelVersion.objects.get(public_id=made["id"]).source
    path = default_store().path(key_for(source.sha256))
    assert path is not None
    hidden = path.with_suffix(".away")
    path.rename(hidden)
    path.mkdir()  # reading it fails, as a broken disk would
    try:
        validate()
        assert api.read(made)["state"] == "validating"
        job = Job.objects.get(kind=VALIDATE_JOB)
        assert (job.state, job.error_code) == (JobState.QUEUED, "models_registry.store_unavailable")
    finally:
        path.rmdir()
        hidden.rename(path)
    with clock.advanced(timedelta(minutes=10)):
        validate()
    assert api.read(made)["state"] == "ready"


WORKER = """
import django
django.setup()
from common.jobs.service import jobs_run_due
jobs_run_due("artifacts")
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.real_sandbox
def test_a_worker_killed_in_the_middle_leaves_a_version_another_worker_finishes(
    api: Api, model: dict[str, Any]
) -> None:
    made = api.version(model, make_assets.endless_loop().SerializeToString())
    environment = {
        **os.environ,
        "DATABASE_URL": _test_database_url(),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    worker = subprocess.Popen([sys.executable, "-c", WORKER], env=environment)
    try:
        deadline = time.monotonic() + 60
        while "running" not in Job.objects.get(kind=VALIDATE_JOB).progress_text:
            assert time.monotonic() < deadline, "the worker never came to running the model"
            assert worker.poll() is None, "the worker ended by itself"
            time.sleep(0.05)
        sandboxes = _children_of(worker.pid)
        assert sandboxes
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    deadline = time.monotonic() + 10
    while any(_is_alive(pid) for pid in sandboxes):
        assert time.monotonic() < deadline, "the sandbox outlived its worker"
        time.sleep(0.05)
    assert api.read(made)["state"] == "validating"
    assert validate() == 0  # the lease still holds

    # The same file would run forever: the second worker meets a sound one under the same version.
    version = ModelVersion.objects.get(public_id=made["id"])
    sound = Artifact.objects.get(
        pk=ModelVersion.objects.get(public_id=api.version(model, SOUND, "2.0.0")["id"]).source_id
    )
    version.source = sound
    version.save(update_fields=["source"])
    with clock.advanced(timedelta(minutes=5)), sandbox_in_process():
        assert validate() == 2
    assert api.read(made)["state"] == "ready"
    assert Job.objects.get(subject_id=made["id"]).attempt == 2
    assert Variant.objects.filter(version=version).count() == 1


def _test_database_url() -> str:
    settings = connection.settings_dict
    address = os.environ["DATABASE_URL"]
    name = str(settings["NAME"])
    head, _, query = address.partition("?")
    return head.rsplit("/", 1)[0] + "/" + name + (f"?{query}" if query else "")


def _children_of(pid: int) -> list[int]:
    text = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in text.split()]


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_validating_twice_changes_nothing_the_second_time(api: Api, model: dict[str, Any], operator: Person) -> None:
    made = api.version(model, SOUND)
    validate()
    before = api.read(made)
    state = validation.version_validate(
        organization_id=operator.caller.organization_id,
        version_id=ModelVersion.objects.get(public_id=made["id"]).public_id,
        actor=operator.caller.actor,
        progress=lambda _ratio, _text: None,
    )
    assert state == "ready"
    assert api.read(made) == before


def test_a_cancelled_validation_ends_the_version_with_that_reason(api: Api, model: dict[str, Any]) -> None:
    made = api.version(model, SOUND)
    job_cancel(job_id=Job.objects.get(kind=VALIDATE_JOB).pk)
    assert validate() == 0
    assert validation.versions_settle(kind=VALIDATE_JOB) == 1
    found = api.read(made)
    assert (found["state"], found["state_reason"]["code"]) == ("invalid", "cancelled")
    assert validation.versions_settle(kind=VALIDATE_JOB) == 0


@pytest.mark.real_sandbox
def test_a_sandbox_that_dies_every_time_ends_in_a_failed_job_and_an_invalid_version(
    api: Api, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = subprocess.Popen

    def killed_at_birth(*args: Any, **kwargs: Any) -> Any:
        child = original(*args, **kwargs)
        child.kill()
        return child

    monkeypatch.setattr(sandbox.subprocess, "Popen", killed_at_birth)
    made = api.version(model, SOUND)
    for attempt in range(3):
        with clock.advanced(timedelta(hours=attempt)):
            jobs_run_due("artifacts")
    assert Job.objects.get(kind=VALIDATE_JOB).state == JobState.FAILED
    validation.versions_settle(kind=VALIDATE_JOB)
    found = api.read(made)
    assert found["state_reason"]["code"] == "models_registry.sandbox_unavailable"


def test_another_organization_sees_nothing(api: Api, model: dict[str, Any], outsider: Person) -> None:
    made = api.version(model, SOUND)
    stranger = Api(outsider)
    assert stranger.get("models/").json()["results"] == []
    assert stranger.get("versions/").json()["results"] == []
    for path in (
        f"models/{model['id']}/",
        f"models/{model['id']}/evaluation-sets/",
        f"versions/{made['id']}/",
        f"versions/{made['id']}/profile/",
    ):
        assert stranger.get(path).status_code == 404, path
    for act in ("request-approval", "approve", "decline", "deprecate"):
        assert stranger.post(f"versions/{made['id']}/{act}/", reason="").status_code == 404, act
    assert stranger.delete(f"versions/{made['id']}/").status_code == 404
    upload = api.upload(SOUND)
    stranger.model("digits")
    answer = stranger.post(
        "versions/", model="digits", version="1.0.0", upload=upload, evaluation_set=made["evaluation_set"]["id"]
    )
    assert answer.status_code == 404


def test_a_viewer_reads_and_changes_nothing(api: Api, model: dict[str, Any], viewer: Person) -> None:
    made = api.version(model, SOUND)
    looking = Api(viewer)
    assert looking.get(f"versions/{made['id']}/").status_code == 200
    assert looking.post("models/", name="mine").status_code == 403
    assert looking.post("versions/", model="digits", version="9").status_code == 403
    assert looking.delete(f"versions/{made['id']}/").status_code == 403
