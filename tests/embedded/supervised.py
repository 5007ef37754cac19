"""A small run for the tests: both databases and two services that drain, under the real supervisor.

Prints one line of JSON with all process ids when everything is up. Arguments: the folder, and what a service does on
SIGTERM (`drains` or `clings`).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from server.embedded import EmbeddedError
from server.embedded import supervisor as module
from server.embedded.child import spawn
from server.embedded.postgres import start_postgres
from server.embedded.supervisor import StopRequested, Supervisor
from server.embedded.valkey import start_valkey

_SERVICE = """
import os, signal, sys
from pathlib import Path
databases, fd, name, folder = [int(p) for p in sys.argv[1].split(",")], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
def end(*_):
    alive = all(Path(f"/proc/{pid}").exists() for pid in databases)
    (folder / f"{name}.drained").write_text("databases up" if alive else "databases down")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[5] == "clings" else end)
os.write(fd, b"ready 1234\\n")
while True:
    signal.pause()
"""


def main(folder: Path, manner: str) -> int:
    module.DRAIN_MARGIN_SECONDS = 0.2
    module.BROKEN_DRAIN_SECONDS = 0.2
    with Supervisor(drain_seconds=30.0 if manner == "drains" else 0.0, say=lambda text: print(text, flush=True)) as supervisor:
        try:
            postgres = start_postgres(folder / "postgres", fast=True)
            supervisor.add_database(postgres)
            valkey = start_valkey(folder / "valkey")
            supervisor.add_database(valkey)
            pids = {"postgres": postgres.pid, "valkey": valkey.pid, "supervisor": os.getpid()}
            for name in ("server", "worker"):
                ready, said = os.pipe()
                arguments = [f"{postgres.pid},{valkey.pid}", str(said), name, str(folder), manner]
                child = spawn(
                    f"the {name}",
                    [sys.executable, "-c", _SERVICE, *arguments],
                    log=folder / f"{name}.log",
                    environment=dict(os.environ),
                    pass_fds=[said],
                )
                os.close(said)
                supervisor.add_service(child)
                pids[name] = child.pid
                assert supervisor.read_line(child, ready, 20.0) == "ready 1234"
            print(json.dumps(pids), flush=True)
            supervisor.watch()
        except StopRequested as reason:
            print(f"stopping ({reason})", flush=True)
            return 0
        except EmbeddedError as error:
            print(error, flush=True)
            return 1
    return 3


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
