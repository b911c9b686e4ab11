"""The command ``flotilla-agent``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from flotilla_agent import __version__
from flotilla_agent.agent import Agent, Options
from flotilla_agent.client import Addresses, UnreachableError
from flotilla_agent.enrol import EnrolmentError, enrol
from flotilla_agent.identity import Enrolment, Identity
from flotilla_agent.inference.perturbation import Perturbation, PerturbationFile
from flotilla_agent.inference.source import RecordedSource, Source, SourceError, rows_load
from flotilla_agent.outbox import Outbox
from flotilla_agent.slots import Slots
from flotilla_agent.state_folder import StateFolder, StateFolderError, default_location
from flotilla_agent.update.machine import pause_s
from flotilla_agent.update.state import StateFile
from flotilla_protocol.errors import ProtocolError

DESCRIPTION = """\
Runs ONNX models on this device, keeps them up to date from a Flotilla control plane, and proves what runs.

A new device, in one line (the token comes from an operator and lets one device in, once):

  flotilla-agent run --server https://devices.example.org --tenant acme --token XXXX \\
      --id camera-7 --profile arm64-camera --source inputs.npz

The first start enrols; later starts need no token. Ctrl-C or SIGTERM ends it in good order; after kill -9 or a
power cut the next start takes up where it was, with a working model at every instant.
"""
SOURCE_HELP = """\
an .npz with an array x [N, ...], an .npy, or a folder of .npy files: played in random order as a camera would;
without a source the device updates and reports health, and runs no inference"""


class UsageError(Exception):
    """The command cannot be carried out as given; the text says what to change."""


def main(arguments: list[str] | None = None) -> int:
    """Carry out the command. Returns the exit status: 0 done, 1 failed, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for chatty in ("httpx", "httpcore", "tuf", "securesystemslib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        result: int = options.command(options)
    except (UsageError, StateFolderError, EnrolmentError, SourceError, ProtocolError) as error:
        print(f"flotilla-agent: {error}", file=sys.stderr)  # noqa: T201 - a command speaks to its terminal
        return 1
    return result


# --- Commands -------------------------------------------------------------------------------------
def run_command(options: argparse.Namespace) -> int:
    """Enrol if needed, then run until SIGTERM or SIGINT."""
    stop = threading.Event()

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)  # the second time means: at once
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    rows = rows_load(options.source) if options.source else None
    folder, identity = _open(options)
    folder.lock()
    enrolment = _enrol_patiently(options, identity, stop)
    if enrolment is None:
        return 0

    def open_source(control: PerturbationFile) -> Source:
        assert rows is not None
        return RecordedSource(rows, control, options.seed)

    agent = Agent(
        folder=folder,
        identity=identity,
        enrolment=enrolment,
        open_source=open_source if rows is not None else None,
        options=Options(rate_hz=options.rate, attributes=dict(options.attribute)),
    )
    _say(f"{enrolment.tenant}/{enrolment.controller_id} runs; state in {folder.root}")
    agent.run(stop)
    return 0


def enrol_command(options: argparse.Namespace) -> int:
    """Enrol, and say so."""
    folder, identity = _open(options)
    folder.lock()
    try:
        enrolment = _enrol(options, identity)
    except UnreachableError as error:
        raise UsageError(f"{error} Try again; repeating is safe.") from error
    _say(f"{enrolment.tenant}/{enrolment.controller_id} is enrolled; state in {folder.root}")
    return 0


def status_command(options: argparse.Namespace) -> int:
    """Say what the state folder knows; works beside a running agent."""
    location = _location(options)
    if not (location / "identity").is_dir():
        raise UsageError(f"There is no state folder {location}.")
    folder = StateFolder(location)
    enrolment = Identity(folder.identity).enrolment
    if enrolment is None:
        _say(f"not enrolled; state in {location}")
        return 0
    state = StateFile(folder.update).state
    slots = Slots(folder.models)
    _say(f"device   {enrolment.tenant}/{enrolment.controller_id} at {enrolment.server}")
    _say(f"state    {location}")
    for model in slots.models():
        slot = slots.current(model)
        if slot is None:
            _say(f"model    {model}: none runs")
        else:
            record = slot.record
            _say(f"model    {model} {record.version} in slot {slot.label}, sha256 {record.digest}")
    _say(
        f"update   {state.step}, last action {state.number or 'none'}"
        + (f", {state.reason}: {state.text}" if state.reason else "")
    )
    outbox = Outbox(folder.outbox)
    _say(f"outbox   {outbox.count} batches wait, {outbox.dropped} were dropped")
    return 0


def perturb_command(options: argparse.Namespace) -> int:
    """Set the perturbation of a running agent's source."""
    folder = StateFolder(_location(options))
    PerturbationFile(folder.control).write(Perturbation(contrast=options.contrast, noise=options.noise))
    _say(f"contrast {options.contrast:g}, noise {options.noise:g}: the agent follows within a second")
    return 0


# --- Their parts ----------------------------------------------------------------------------------
def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command speaks to its terminal


def _location(options: argparse.Namespace) -> Path:
    if options.state:
        return Path(options.state)
    if not (options.server and options.tenant and options.id):
        raise UsageError("Give --state, or --server, --tenant and --id, so that the device's state can be found.")
    return default_location(options.server, options.tenant, options.id)


def _open(options: argparse.Namespace) -> tuple[StateFolder, Identity]:
    folder = StateFolder(_location(options))
    return folder, Identity(folder.identity)


def _enrol(options: argparse.Namespace, identity: Identity) -> Enrolment:
    existing = identity.enrolment
    if existing is not None and not (options.server and options.tenant and options.id):
        return existing
    if not (options.server and options.tenant and options.id):
        raise UsageError("A new device needs --server, --tenant, --id, --profile and --token.")
    if existing is None and not (options.token and options.profile):
        raise UsageError("A new device needs --token and --profile; an operator makes the token.")
    return enrol(
        identity=identity,
        addresses=Addresses(options.server.rstrip("/"), options.tenant, options.id),
        token=options.token or "",
        profile=options.profile or "",
        name=options.name or "",
        attributes=dict(options.attribute),
    )


def _enrol_patiently(options: argparse.Namespace, identity: Identity, stop: threading.Event) -> Enrolment | None:
    """Enrol; a control plane that is away is waited for. None when asked to stop meanwhile."""
    attempt = 0
    while not stop.is_set():
        try:
            return _enrol(options, identity)
        except UnreachableError as error:
            attempt += 1
            pause = max(error.after_s, min(pause_s(attempt), 60.0))
            logging.getLogger(__name__).warning("%s Trying again in %.0f s.", error, pause)
            stop.wait(pause)
    return None


def _attribute(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError("must be key=value")
    return key, value


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 1000:  # noqa: PLR2004 - inputs per second
        raise argparse.ArgumentTypeError("must be above 0 and at most 1000 per second")
    return rate


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flotilla-agent", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"flotilla-agent {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--server", help="address of the control plane's device doors (DEVICE_URL)")
    common.add_argument("--tenant", help="slug of the organization")
    common.add_argument("--id", help="the device's own id: A-Z a-z 0-9 . _ : -, at most 256 characters")
    common.add_argument("--state", help="state folder (default: one per device below the user's state folder)")
    common.add_argument("--verbose", action="store_true", help="log more")
    joining = argparse.ArgumentParser(add_help=False)
    joining.add_argument("--token", help="enrolment token; needed once")
    joining.add_argument("--profile", help="name of the hardware profile, for example arm64-camera")
    joining.add_argument("--name", help="name people see (default: the id)")
    joining.add_argument(
        "--attribute",
        metavar="KEY=VALUE",
        type=_attribute,
        action="append",
        default=[],
        help="reported by the device; repeat for more",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", parents=[common, joining], help="enrol on first use, then run")
    run.add_argument("--source", type=Path, help=SOURCE_HELP)
    run.add_argument("--rate", type=_rate, default=5.0, help="inputs per second (default 5)")
    run.add_argument("--seed", type=int, help="of the source's order; random by default")
    run.set_defaults(command=run_command)

    enrolling = commands.add_parser("enrol", parents=[common, joining], help="enrol and end; repeating is safe")
    enrolling.set_defaults(command=enrol_command)

    status = commands.add_parser("status", parents=[common], help="what runs, what is under way, what waits")
    status.set_defaults(command=status_command)

    perturbing = commands.add_parser(
        "perturb", parents=[common], help="worsen a running agent's source, to see drift found"
    )
    perturbing.add_argument("--contrast", type=float, default=1.0, help="factor around the mean (1: as it is)")
    perturbing.add_argument("--noise", type=float, default=0.0, help="as a share of the value range (0: none)")
    perturbing.set_defaults(command=perturb_command)
    return parser
