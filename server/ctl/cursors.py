"""The file that remembers how far a tail has come.

What always holds: the file is replaced in one step, so a process that is killed leaves the old or the new place. Where the
events go to a file, it also says where in that file the next one begins and ends before it is written, so that a restart knows
whether it was, and takes away the half of one that was cut off: nothing is printed twice, whenever the process was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from server.ctl.failures import BadInput

if TYPE_CHECKING:
    from typing import TextIO

_FORM = '{"cursor": "..."}'


class CursorFile:
    """A place in a stream, kept over restarts."""

    def __init__(self, path: Path, output: TextIO) -> None:
        """Keep it in `path`, for events that are printed to `output`."""
        self._path = path
        self._output = output

    def read(self) -> str:
        """Return the cursor to go on with; empty when there is no file yet.

        Raises:
            BadInput: the file cannot be read, or is not one that was written here.

        """
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ""
        except OSError as error:
            msg = f"cannot read {self._path}: {error.strerror}"
            raise BadInput(msg) from error
        except ValueError:
            content = None
        if not isinstance(content, dict) or not isinstance(content.get("cursor"), str):
            msg = f"{self._path} is no cursor file: it must hold {_FORM}; remove it to start afresh"
            raise BadInput(msg)
        following = content.get("following")
        if isinstance(following, dict) and self._was_printed(following):
            return str(following.get("cursor", ""))
        return str(content["cursor"])

    def print(self, line: str, before: str, after: str) -> None:
        """Print a line and move from the cursor `before` it to the one `after`."""
        place = self._file()
        if place is not None:
            begin = self._position(place)
            end = begin + len(f"{line}\n".encode(self._output.encoding, self._output.errors or "strict"))
            following = {"cursor": after, "file": [place.st_dev, place.st_ino], "begin": begin, "end": end}
            self._write({"cursor": before, "following": following})
        self._output.write(f"{line}\n")
        self._output.flush()
        self._write({"cursor": after})

    def move(self, cursor: str) -> None:
        """Move on without having printed anything."""
        self._write({"cursor": cursor})

    def _was_printed(self, following: dict[str, object]) -> bool:
        place, begin, end = self._file(), following.get("begin"), following.get("end")
        if place is None or following.get("file") != [place.st_dev, place.st_ino] or not isinstance(end, int):
            return False
        if isinstance(begin, int) and begin < place.st_size < end and self._appends():
            # A write that crosses pages may be cut off by SIGKILL.
            os.ftruncate(self._output.fileno(), begin)
        return place.st_size >= end

    def _appends(self) -> bool:
        return bool(fcntl.fcntl(self._output.fileno(), fcntl.F_GETFL) & os.O_APPEND)

    def _file(self) -> os.stat_result | None:
        """Return what the output is, when it is a file."""
        try:
            found = os.fstat(self._output.fileno())
        except (OSError, ValueError):
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def _position(self, place: os.stat_result) -> int:
        """Return where in the file the next line begins."""
        return place.st_size if self._appends() else os.lseek(self._output.fileno(), 0, os.SEEK_CUR)

    def _write(self, content: dict[str, object]) -> None:
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".analyticsctl-")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
            Path(name).replace(self._path)
        except OSError as error:
            msg = f"cannot write {self._path}: {error.strerror}"
            raise BadInput(msg) from error
