"""Whom the servers run as, and which folders that account may use.

PostgreSQL refuses to run as root, so under root both servers run as `nobody`. That account must be able to walk down to
its folders; no mode is ever changed to make it so, only folders made here, or given empty, become its own.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from server.embedded import EmbeddedError

# sun_path holds 108 bytes with its final zero.
LONGEST_SOCKET_PATH = 107
# Longest name that a server puts into its socket folder: `.s.PGSQL.5432` and a temporary suffix.
_ROOM_FOR_SOCKET_NAME = 32
# What may stand in a URL without quoting, which not every client undoes.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")


@dataclass(frozen=True, slots=True)
class Account:
    """A user to become before a server's binary starts."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """`nobody` under root; None when the servers run as the present user.

    Raises:
        EmbeddedError: root on a machine without a user `nobody`.

    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        msg = "PostgreSQL does not run as root and this machine has no user `nobody`; start as an ordinary user"
        raise EmbeddedError(msg) from None
    return Account(entry.pw_uid, entry.pw_gid)


def reachable(path: Path, account: Account | None) -> bool:
    """Whether `account` may walk down to `path`, judged by the folders above it that exist."""
    if account is None:
        return True
    for folder in [path, *path.parents]:
        try:
            status = folder.stat()
        except FileNotFoundError:
            continue
        if status.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif status.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            return False
    return True


def claim_folder(folder: Path, account: Account | None) -> None:
    """Make `folder` the server's own: made when missing, taken when empty, checked otherwise.

    Raises:
        EmbeddedError: it cannot be made, is not a folder, or belongs to somebody else.

    """
    if not reachable(folder.parent, account):
        msg = f"user nobody, which runs the databases under root, cannot reach {folder}; choose a folder outside of closed ones"
        raise EmbeddedError(msg)
    owner = os.geteuid() if account is None else account.uid
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode):
            msg = f"{folder} is not a folder"
            raise EmbeddedError(msg)
        if status.st_uid != owner:
            if status.st_uid != os.geteuid() or any(folder.iterdir()):
                msg = f"{folder} belongs to another user (id {status.st_uid}); choose another folder or remove it"
                raise EmbeddedError(msg)
            os.chown(folder, owner, -1 if account is None else account.gid)
        if account is None and not os.access(folder, os.W_OK | os.X_OK):
            msg = f"{folder} cannot be written; choose another folder or change its permissions"
            raise EmbeddedError(msg)
    except OSError as error:
        raise EmbeddedError(_sentence("cannot use folder", folder, error)) from error


def socket_folder(home: Path, account: Account | None) -> Path:
    """Make the folder of a server's socket: `<home>/run`, or one under /tmp where that path is too long or needs quoting."""
    folder = home / "run"
    if len(os.fsencode(folder)) + _ROOM_FOR_SOCKET_NAME > LONGEST_SOCKET_PATH or not _PLAIN_PATH.fullmatch(str(folder)):
        name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        folder = Path("/tmp") / f"analytics-{os.geteuid()}-{name}"  # noqa: S108 - made 0700, and refused when another user owns it
    claim_folder(folder, account)
    return folder


def scratch_folder(prefix: str = "analytics-") -> Path:
    """Make an empty folder with a short path that the servers can use, for tests; the caller removes it.

    pytest's own `tmp_path` lies under a folder closed to `nobody` when root runs the tests.
    """
    account = server_account()
    for parent in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - mkdtemp makes it safe
        if parent.is_dir() and reachable(parent, account) and len(os.fsencode(parent)) < _ROOM_FOR_SOCKET_NAME:
            return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    msg = "no temporary folder that the databases can use; set TMPDIR"
    raise EmbeddedError(msg)


def write_private(path: Path, text: str, account: Account | None = None) -> None:
    """Write a file that only its owner reads; it is complete or not there."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    if account is not None:
        os.chown(fresh, account.uid, account.gid)
    fresh.rename(path)


def _sentence(what: str, path: Path, error: OSError) -> str:
    return f"{what} {path}: {error.strerror or error}"
