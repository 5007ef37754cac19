"""A process that starts and ends others for a test: no threads, no gRPC, so that it can fork.

Run as `python -m tests.support.keeper <folder>`; `tests.support.stack` talks to it. It takes one JSON object per line on
standard input and answers on standard output; when its input ends it kills everything it started and ends.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from server.embedded import EmbeddedError
from server.embedded.child import Child, spawn
from server.embedded.postgres import Postgres, start_postgres
from server.embedded.valkey import Valkey, start_valkey
from server.lifecycle import READY_FD

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_SECONDS = 60.0


@dataclass
class Keeper:
    """Everything that was started in a folder."""

    folder: Path
    postgres: Postgres | None = None
    valkey: Valkey | None = None
    services: dict[int, Child] = field(default_factory=dict)
    waits: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def run(self) -> None:
        """Serve until the input ends."""
        os.set_blocking(0, False)
        unread = b""
        self.waits.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in self.waits.select():
                if key.fd != 0:
                    self._heard(key.fd, *key.data)
                    continue
                read = os.read(0, 1 << 20)
                if not read:
                    return
                *lines, unread = (unread + read).split(b"\n")
                for line in lines:
                    self._answer(json.loads(line))

    def end(self) -> None:
        """Kill what is left."""
        for child in self.services.values():
            child.kill()
        if self.valkey is not None:
            self.valkey.stop()
        if self.postgres is not None:
            self.postgres.stop()

    def _answer(self, order: Mapping[str, str]) -> None:
        try:
            told = getattr(self, f"do_{order['do']}")(order)
        except (EmbeddedError, OSError) as error:
            told = {"failed": str(error)}
        _say({"id": order["id"], **told})

    def do_start_postgres(self, _order: Mapping[str, str]) -> Mapping[str, str]:
        self.postgres = start_postgres(self.folder / "pg", fast=True, patience=PATIENCE_SECONDS)
        return {"sockets": str(self.postgres.sockets), "password": (self.folder / "pg" / "superuser").read_text().strip()}

    def do_start_valkey(self, _order: Mapping[str, str]) -> Mapping[str, str]:
        self.valkey = start_valkey(self.folder / "vk", patience=PATIENCE_SECONDS)
        return {"socket": str(self.valkey.socket_path)}

    def do_kill_postgres(self, _order: Mapping[str, str]) -> Mapping[str, str]:
        assert self.postgres is not None
        self.postgres.kill()
        return {}

    def do_stop_postgres(self, _order: Mapping[str, str]) -> Mapping[str, str]:
        assert self.postgres is not None
        self.postgres.stop()
        return {}

    def do_kill_valkey(self, _order: Mapping[str, str]) -> Mapping[str, str]:
        assert self.valkey is not None
        self.valkey.kill()
        return {}

    def do_start(self, order: Mapping[str, str]) -> Mapping[str, object]:
        """Start a Python program; that it is ready, and that it ended, is told later."""
        ready, said = os.pipe()
        environment = {**json.loads(order["environment"]), READY_FD: str(said)}
        command = [sys.executable, *json.loads(order["command"])]
        child = spawn(
            order["name"], command, log=Path(order["log"]), environment=environment, folder=Path(order["folder"]), pass_fds=[said]
        )
        os.close(said)
        self.services[child.pid] = child
        self.waits.register(ready, selectors.EVENT_READ, ("ready", child.pid))
        self.waits.register(os.pidfd_open(child.pid), selectors.EVENT_READ, ("ended", child.pid))
        return {"pid": child.pid}

    def _heard(self, descriptor: int, what: str, pid: int) -> None:
        self.waits.unregister(descriptor)
        if what == "ready":
            _say({"ready": pid, "line": os.read(descriptor, 64).decode()})
        else:
            child = self.services.pop(pid)
            child.wait(PATIENCE_SECONDS)
            _say({"ended": pid, "code": child.exit_code})
        os.close(descriptor)


def _say(told: Mapping[str, object]) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def main() -> None:
    """Keep processes."""
    # Ctrl-C is for the tests; the end of the input is for us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keeper = Keeper(Path(sys.argv[1]))
    try:
        keeper.run()
    finally:
        keeper.end()


if __name__ == "__main__":
    main()
