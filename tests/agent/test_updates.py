"""What an agent does with an order: the good way, the ways an order can be wrong, and the ways back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from flotilla_agent.health import health_of
from flotilla_agent.model import LoadedModel, ModelError
from flotilla_protocol.digests import digest_bytes
from tests.agent.conftest import CID, Bench, manifest_with
from tests.simulator_server.models import Published, publish

V1 = publish("1.0", seed=1)
V2 = publish("1.1", seed=2)


def test_it_installs_what_is_ordered_and_proves_it(bench: Bench) -> None:
    action = bench.install(V1)
    assert [details[0] for _, _, details in action.feedback[:4]] == [
        "downloading",
        "verifying",
        "installing",
        "probation",
    ]
    bench.assert_works("1.0")
    report = bench.device.reports[-1]
    assert report.action_number == action.number
    assert [(model.model, model.version, model.digest) for model in report.running] == [("shapes", "1.0", V1.digest)]
    assert report.self_test == "passed"
    assert report.soak.clean is True


def test_it_says_what_it_is_when_asked(bench: Bench) -> None:
    bench.until(lambda: bench.device.attributes.get("site") == "bench")


def test_it_asks_with_the_etag_and_hears_that_nothing_is_new(bench: Bench) -> None:
    bench.until(lambda: bench.device.unchanged_count >= 2)


def test_an_update_goes_to_the_other_slot_and_the_old_version_stays_there(bench: Bench) -> None:
    bench.install(V1)
    first = bench.current()
    bench.install(V2)
    second = bench.current()
    assert first
    assert second
    assert {first.label, second.label} == {"a", "b"}
    assert first.is_sound()


def test_in_probation_both_versions_answer_and_disagreement_is_counted(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2, soak_s=600.0, shadow_every=2)
    bench.until(lambda: action.state == "closed")
    bench.send_windows()
    bench.infer(40)
    bench.send_windows()
    windows = [window for batch in bench.device.batches for window in batch.windows]
    last = windows[-1]
    assert (last.version, last.inference_count, last.shadow_count) == ("1.1", 40, 20)
    assert 0 < last.shadow_disagreement_count <= last.shadow_count
    assert last.shadow_latency_ms_mean
    assert {window.version for window in windows} == {"1.0", "1.1"}
    assert all(window.sketches for window in windows)


def test_soak_is_open_in_reports_while_it_lasts(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2, soak_s=600.0)
    bench.until(lambda: bench.device.reports[-1].action_number == action.number)
    report = bench.device.reports[-1]
    assert (report.running[0].version, report.soak.clean) == ("1.1", None)


def test_a_restore_uses_the_version_that_is_still_there(bench: Bench) -> None:
    bench.install(V1)
    bench.install(V2)
    before = bench.plane.bytes_sent
    action = bench.order(V1, kind="restore")
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    assert action.result == "success"
    assert bench.plane.bytes_sent == before
    bench.assert_works("1.0")


def test_a_restore_that_comes_in_probation_is_acted_on(bench: Bench) -> None:
    bench.install(V1)
    bad = bench.order(V2, soak_s=600.0)
    bench.until(lambda: bad.state == "closed")
    restore = bench.order(V1, kind="restore")
    bench.until(lambda: restore.state == "closed" and bench.is_idle())
    bench.assert_works("1.0")
    assert bench.device.reports[-1].action_number == restore.number


def test_ordering_what_runs_already_changes_nothing_and_succeeds(bench: Bench) -> None:
    bench.install(V1)
    slot = bench.current()
    bench.install(V1)
    assert bench.current() == slot


# --- Removals ---------------------------------------------------------------------------------------------
def test_a_removed_model_runs_no_longer_and_the_agent_goes_on_without_it(bench: Bench) -> None:
    bench.install(V1)
    removal = bench.order(V1, kind="remove")
    bench.until(lambda: removal.state == "closed" and bench.is_idle())
    assert (removal.result, removal.details) == ("success", ["The model is removed."])
    assert [details[0] for _, _, details in removal.feedback[:-1]] == ["installing", "probation"]
    report = bench.device.reports[-1]
    assert (report.action_number, report.running, report.self_test) == (removal.number, [], "not_run")
    assert bench.current() is None
    assert not list((bench.folder / "models").rglob("model.onnx")), "its files are gone"
    # A start later nothing has come back, and what does not need a model goes on.
    bench.start()
    bench.turn()
    assert bench.running_agent.runtime.process(bench._rows[:1]) == {}
    bench.running_agent.outbox.put_health(health_of([(bench.running_agent.clock.now_ms(), {"cpu_ratio": 0.5})]))
    bench.running_agent.uplink.drain()
    assert bench.device.batches[-1].health is not None
    bench.install(V2)
    bench.assert_works("1.1")


def test_only_the_named_model_is_removed(bench: Bench) -> None:
    other = publish("3.0", model="colours", seed=5)
    bench.install(V1)
    bench.install(other)
    removal = bench.order(other, kind="remove")
    bench.until(lambda: removal.state == "closed" and bench.is_idle())
    assert [model.model for model in bench.device.reports[-1].running] == ["shapes"]
    bench.assert_works("1.0")


def test_a_removal_in_the_first_models_probation_is_acted_on(bench: Bench) -> None:
    first = bench.order(V1, soak_s=600.0)
    bench.until(lambda: first.state == "closed")
    removal = bench.order(V1, kind="remove")
    bench.until(lambda: removal.state == "closed" and bench.is_idle())
    assert bench.current() is None
    assert bench.device.reports[-1].running == []


def test_a_removal_of_what_never_ran_succeeds(bench: Bench) -> None:
    removal = bench.order(V1, kind="remove")
    bench.until(lambda: removal.state == "closed" and bench.is_idle())
    assert removal.result == "success"
    assert bench.device.reports[-1].action_number == removal.number


def test_outside_the_maintenance_window_nothing_is_removed(bench: Bench) -> None:
    bench.install(V1)
    removal = bench.order(V1, kind="remove", update="skip")
    bench.until(lambda: bench.running_agent.machine.state.step == "test")
    polls = bench.device.poll_count
    bench.until(lambda: bench.device.poll_count > polls + 2)
    bench.assert_works("1.0")
    removal.update = "forced"
    bench.until(lambda: removal.state == "closed" and bench.is_idle())
    assert bench.current() is None


def test_missing_files_are_never_taken_for_a_removal(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V1, kind="restore")
    bench.plane.leaves_out_files = True
    bench.until(lambda: action.state == "closed")
    assert action.details[0] == "unsupported_deployment"
    bench.plane.leaves_out_files = False
    bench.assert_works("1.0")


# --- Orders that must not be carried out ------------------------------------------------------------------
def _corrupt_model(bench: Bench) -> None:
    bench.plane.corrupt(V2.model_target)


def _corrupt_manifest(bench: Bench) -> None:
    bench.plane.corrupt(V2.manifest_target)


def _longer(bench: Bench) -> None:
    bench.plane.bytes_of[V2.model_target] += b"more"


def _missing(bench: Bench) -> None:
    del bench.plane.bytes_of[V2.model_target]


def _expired(bench: Bench) -> None:
    bench.plane.repository.expire()


def _forged(bench: Bench) -> None:
    bench.plane.repository.forge()


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (_corrupt_model, "digest_mismatch"),
        (_corrupt_manifest, "digest_mismatch"),
        (_longer, "download_too_large"),
        (_missing, "download_failed"),
        (_expired, "signature_invalid"),
        (_forged, "signature_invalid"),
    ],
)
def test_a_bad_delivery_is_refused_and_the_running_version_stays(
    bench: Bench, bend: Callable[[Bench], None], reason: str
) -> None:
    bench.install(V1)
    before = bench.current()
    bench.plane.publish(V2)
    bend(bench)
    action = bench.plane.order(CID, V2)
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    assert (action.result, action.details[0]) == ("failure", reason)
    assert action.details[1]
    assert bench.current() == before
    bench.assert_works("1.0")
    assert bench.device.reports[-1].running[0].digest == V1.digest


def test_metadata_older_than_what_was_seen_is_refused(bench: Bench) -> None:
    old = dict(bench.plane.repository.files)
    bench.install(V1)
    bench.plane.publish(V2)
    bench.plane.repository.roll_back(old)
    action = bench.plane.order(CID, V2)
    bench.until(lambda: action.state == "closed")
    assert action.details[0] == "signature_invalid"
    bench.assert_works("1.0")


def test_a_file_that_was_never_signed_is_refused(bench: Bench) -> None:
    bench.install(V1)
    bench.plane.bytes_of |= {V2.model_target: V2.file, V2.manifest_target: V2.manifest_file}
    action = bench.plane.order(CID, V2)
    bench.until(lambda: action.state == "closed")
    assert action.details[0] == "signature_invalid"


def test_a_new_root_key_announced_by_the_old_one_is_followed(bench: Bench) -> None:
    bench.install(V1)
    bench.plane.repository.rotate_root()
    bench.install(V2)
    bench.assert_works("1.1")


def test_a_signed_manifest_about_another_version_is_refused(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(manifest_with(V2, version="9.9"))
    bench.until(lambda: action.state == "closed")
    assert action.details[0] == "manifest_invalid"
    bench.assert_works("1.0")


def test_a_version_that_fails_its_self_test_never_runs(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(publish("1.1", seed=2, wrong_self_test=True))
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    assert action.details[0] == "self_test_failed"
    bench.assert_works("1.0")
    assert bench.device.reports[-1].self_test == "failed"


def test_a_file_that_is_no_model_never_runs(bench: Bench) -> None:
    bench.install(V1)
    junk = b"this is no model"
    manifest = manifest_with(V2, digest=digest_bytes(junk).sha256).manifest
    action = bench.order(Published("shapes", "1.1", junk, manifest))
    bench.until(lambda: action.state == "closed")
    assert action.details[0] == "self_test_failed"
    bench.assert_works("1.0")


def test_a_deployment_without_a_model_is_refused_at_once(bench: Bench) -> None:
    action = bench.plane.order(CID)
    bench.until(lambda: action.state == "closed")
    assert action.details[0] == "unsupported_deployment"


def test_no_space_is_said_and_nothing_is_fetched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.install(V1)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("flotilla_agent.download.shutil.disk_usage", lambda _: usage._replace(free=1_000))
    before = bench.plane.bytes_sent
    action = bench.order(V2)
    bench.until(lambda: action.state == "closed")
    assert action.details[0] == "out_of_space"
    assert bench.plane.bytes_sent == before


# --- Ways back --------------------------------------------------------------------------------------------
def test_a_candidate_that_fails_where_its_predecessor_answers_is_taken_back(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(publish("1.1", seed=2, fails_when_bright=True), soak_s=600.0)
    bench.until(lambda: action.state == "closed")
    assert action.result == "success"
    bench.until(bench.is_idle, bright=True)
    bench.assert_works("1.0")
    report = bench.device.reports[-1]
    assert report.running[0].version == "1.0"
    assert report.soak.clean is False
    assert report.soak.errors >= 3


def test_a_first_version_that_fails_leaves_the_device_without_one(bench: Bench) -> None:
    action = bench.order(publish("1.0", seed=2, fails_when_bright=True), soak_s=600.0)
    bench.until(lambda: action.state == "closed")
    bench.until(bench.is_idle, bright=True)
    assert bench.current() is None
    assert bench.device.reports[-1].running == []


def test_an_input_both_versions_fail_on_is_not_held_against_the_candidate(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2, soak_s=600.0)
    bench.until(lambda: action.state == "closed")
    runtime = bench.running_agent.runtime
    for _ in range(5):
        assert runtime.process(bench._rows[:1].reshape(1, 16)[:, :7]) == {}
    assert runtime.probation().errors == 0
    bench.turn()
    bench.assert_works("1.1")


def test_a_candidate_in_whose_probation_the_process_keeps_dying_is_taken_back(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2, soak_s=600.0)
    bench.until(lambda: action.state == "closed")
    for _ in range(3):
        bench.start()
        bench.assert_works("1.1")
    bench.start()
    bench.until(bench.is_idle)
    bench.assert_works("1.0")
    assert bench.device.reports[-1].soak.clean is False


def test_starts_after_a_clean_stop_do_not_count_against_the_candidate(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2, soak_s=600.0)
    bench.until(lambda: action.state == "closed")
    for _ in range(6):
        bench.running_agent.machine.stopping()
        bench.start()
    bench.assert_works("1.1")


def test_a_running_slot_that_decayed_is_replaced_by_the_other_at_start(bench: Bench) -> None:
    bench.install(V1)
    bench.install(V2)
    slot = bench.current()
    assert slot
    slot.model_path.write_bytes(b"decayed")
    bench.start()
    bench.assert_works("1.0")


def test_a_decayed_running_slot_is_not_written_to_when_its_version_is_ordered_again(bench: Bench) -> None:
    bench.install(V1)
    slot = bench.current()
    assert slot
    slot.model_path.write_bytes(b"decayed")
    bench.install(V1)
    bench.assert_works("1.0")
    now = bench.current()
    assert now
    assert now.label != slot.label


# --- Cancels and windows ----------------------------------------------------------------------------------
def test_a_cancel_before_the_switch_is_accepted(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2, update="skip")
    bench.until(lambda: bench.running_agent.machine.state.step == "test")
    action.state = "cancelling"
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    assert action.result == "cancelled"
    bench.assert_works("1.0")
    bench.install(V2)


def test_a_cancel_of_an_order_never_seen_is_accepted(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2)
    action.state = "cancelling"
    bench.until(lambda: action.state == "closed")
    assert action.result == "cancelled"


def test_a_cancel_in_the_middle_of_a_download_ends_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.install(V1)
    monkeypatch.setattr("flotilla_agent.download.BLOCK_BYTES", 64)
    action = bench.order(V2)

    def cancel() -> None:
        action.state = "cancelling"
        bench.running_agent.poll_soon()

    bench.plane.when_fetched = cancel
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    assert action.result == "cancelled"
    assert bench.plane.bytes_sent < len(V1.file) + len(V1.manifest_file) + len(V2.file) + len(V2.manifest_file)
    bench.assert_works("1.0")


def test_a_stop_in_the_middle_of_a_download_loses_nothing(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2)
    stopping = bench.running_agent
    bench.plane.when_fetched = stopping.stop.set
    bench.until(stopping.stop.is_set)
    bench.plane.when_fetched = None
    assert bench.running_agent.machine.state.step == "fetch"
    bench.start()
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    bench.assert_works("1.1")


def test_a_cancel_after_the_switch_comes_too_late(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2, soak_s=0.4)
    bench.until(lambda: action.state == "closed")
    action.state = "cancelling"
    bench.until(lambda: action.state != "cancelling")
    assert action.state == "open"
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    bench.assert_works("1.1")


def test_outside_the_maintenance_window_everything_is_made_ready_and_nothing_switched(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2, update="skip")
    bench.until(lambda: bench.running_agent.machine.state.step == "test")
    polls = bench.device.poll_count
    bench.until(lambda: bench.device.poll_count > polls + 2)
    bench.assert_works("1.0")
    action.update = "forced"
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    bench.assert_works("1.1")


def test_an_action_closed_by_force_is_dropped(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2, update="skip")
    bench.until(lambda: bench.running_agent.machine.state.step == "test")
    action.state = "closed"
    later = bench.order(V1)
    bench.until(lambda: later.state == "closed" and bench.is_idle())
    bench.assert_works("1.0")


# --- Bad lines --------------------------------------------------------------------------------------------
def test_a_broken_download_goes_on_where_it_ended(bench: Bench) -> None:
    bench.plane.publish(V1)
    size = len(V1.manifest_file)
    bench.plane.cut_after = size // 2
    bench.install(V1)
    assert f"bytes={size // 2}-" in bench.plane.ranges
    assert bench.plane.bytes_sent == size + len(V1.file)


def test_a_server_that_ignores_ranges_is_no_obstacle(bench: Bench) -> None:
    bench.plane.publish(V1)
    bench.plane.ignores_ranges = True
    bench.plane.cut_after = len(V1.manifest_file) // 2
    bench.install(V1)
    bench.assert_works("1.0")


def test_lost_answers_to_feedback_are_made_up_for(bench: Bench) -> None:
    bench.plane.lose_answers_of = {"feedback", "reports"}
    action = bench.order(V1)
    bench.until(lambda: action.state == "closed")
    deadline = time.monotonic() + 0.3
    bench.until(lambda: time.monotonic() > deadline)
    bench.plane.lose_answers_of = set()
    bench.until(bench.is_idle)
    assert action.result == "success"
    assert len([entry for entry in action.feedback if entry[0] == "closed"]) == 1
    assert bench.device.reports[-1].soak.clean is True


def test_an_outage_in_the_middle_is_waited_for(bench: Bench) -> None:
    bench.install(V1)
    action = bench.order(V2)
    bench.plane.is_down = True
    deadline = time.monotonic() + 0.3
    bench.until(lambda: time.monotonic() > deadline)
    bench.assert_works("1.0")
    bench.plane.is_down = False
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    bench.assert_works("1.1")


def test_a_revoked_token_is_renewed(bench: Bench) -> None:
    bench.install(V1)
    bench.plane.revoke_access()
    bench.install(V2)


def test_a_clock_an_hour_off_is_corrected(bench: Bench) -> None:
    bench.plane.clock_skew = timedelta(hours=1)
    bench.plane.revoke_access()
    agent = bench.start()
    bench.until(lambda: agent.clock.offset_s is not None)
    assert agent.clock.offset_s == pytest.approx(-3600, abs=2)


def test_two_models_are_switched_by_one_action(bench: Bench) -> None:
    other = publish("3.0", model="colours", seed=5)
    action = bench.order(V1, other)
    bench.until(lambda: action.state == "closed" and bench.is_idle())
    assert {model.model for model in bench.device.reports[-1].running} == {"shapes", "colours"}


def test_a_misfit_input_is_an_error_of_the_model_with_a_clear_text(bench: Bench) -> None:
    bench.install(V1)
    slot = bench.current()
    assert slot
    with pytest.raises(ModelError, match="does not fit"):
        LoadedModel(slot).predict(bench._rows.reshape(-1, 5)[:1])
