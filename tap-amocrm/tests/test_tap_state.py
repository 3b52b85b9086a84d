"""The STATE that leaves, while streams that are read ahead already add to it."""

from __future__ import annotations

import itertools
import sys
import threading

import msgspec
from singer_sdk.singerlib.messages import Message

from tap_amocrm.singer_io.writer import SnapshotStateWriter, Writer


class Kept(Writer):
    """Keeps messages instead of writing them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write_message(self, message: Message) -> None:
        self.lines.append(self.serialize_message(message))


def test_a_state_is_whole_however_many_threads_add_to_it_meanwhile():
    memory = {"definitions": {}}
    state = {"bookmarks": {}, "tap_amocrm": memory}
    ended = threading.Event()

    def add(number):
        for count in itertools.count():
            if ended.is_set():
                return
            memory[f"{number}-{count % 50}"] = {"read_at": count}
            memory.pop(f"{number}-{(count + 25) % 50}", None)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(3)]
    interval, kept = sys.getswitchinterval(), Kept()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        writer = SnapshotStateWriter(kept)
        for _ in range(300):
            writer.write_state(state)
    finally:
        ended.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()
    assert len(kept.lines) > 1
    assert all("definitions" in msgspec.json.decode(line)["value"]["tap_amocrm"] for line in kept.lines)
