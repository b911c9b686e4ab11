"""The embedded broker: every message whole, and to one reader alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from config import broker
from config.embedded.state import ROOT

WRITERS, EACH = 3, 150

WRITE = """
import sys
from kombu import Connection
from config import broker
broker.register()
folder, writer, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/../control"}
with Connection("filesystem://", transport_options=options) as connection:
    queue = connection.SimpleQueue("work")
    for number in range(count):
        queue.put(f"{writer}:{number}")
"""


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[], Connection]]:
    broker.register()
    for name in ("messages", "control"):
        (tmp_path / name).mkdir()
    folder = str(tmp_path / "messages")
    options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": str(tmp_path / "control")}
    opened: list[Connection] = []

    def make() -> Connection:
        opened.append(Connection("filesystem://", transport_options=options))
        return opened[-1]

    yield make
    for connection in opened:
        connection.release()


def test_messages_of_many_writers_reach_one_reader_each_and_whole(
    connect: Callable[[], Connection], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WRITE, str(tmp_path / "messages")]
    writers = [subprocess.Popen([*command, str(writer), str(EACH)], cwd=ROOT) for writer in range(WRITERS)]
    deadline = time.monotonic() + 60
    seen: Counter[str] = Counter()

    def read() -> None:
        queue = connect().SimpleQueue("work")
        while sum(seen.values()) < WRITERS * EACH and time.monotonic() < deadline:
            try:
                message = queue.get(block=False)
            except Empty:
                continue
            seen[message.payload] += 1
            message.ack()

    with ThreadPoolExecutor(2) as readers:
        for future in [readers.submit(read) for _ in range(2)]:
            future.result()

    assert [writer.wait(10) for writer in writers] == [0] * WRITERS
    assert seen == Counter({f"{writer}:{number}": 1 for writer in range(WRITERS) for number in range(EACH)})
    assert list((tmp_path / "messages").iterdir()) == []


def test_a_reader_gets_only_its_own_queue(connect: Callable[[], Connection]) -> None:
    connection = connect()
    connection.SimpleQueue("one.more").put("theirs")
    mine = connection.SimpleQueue("more")
    with pytest.raises(Empty):
        mine.get(block=False)
    mine.put("mine")
    message = mine.get(block=False)
    assert message.payload == "mine"
    message.ack()


def test_workers_that_start_together_are_all_heard(connect: Callable[[], Connection]) -> None:
    """Each binds a queue of its own to the exchange that carries commands to all workers."""
    channels = [connect().default_channel for _ in range(4)]

    def bind(number: int) -> None:
        for turn in range(25):
            channels[number]._queue_bind("commands", "", "", f"worker-{number}-{turn}")

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(bind, number) for number in range(4)]:
            future.result()

    assert len(channels[0].get_table("commands")) == 100
