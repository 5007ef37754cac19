"""The public keys of credentials: a JWKS (RFC 7517) from a file or from an https address.

A key is usable only when it says its `kid` and is Ed25519 or RSA of at least 2048 bits; its algorithm follows from its
type and never from a token. When a reading fails, the last good set stays in force. Equal content is the same `KeySet`
object, so that a changed set is seen by identity.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import ssl
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from server.telemetry.metrics import CREDENTIAL_KEY_REFRESHES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PublicKey: TypeAlias = Ed25519PublicKey | RSAPublicKey

FILE_CHECK_SECONDS = 1.0
URL_REFRESH_SECONDS = 300.0
URL_RETRY_SECONDS = 30.0
_FETCH_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 1 << 20
_MIN_RSA_BITS = 2048
_log = structlog.get_logger(__name__)


class KeysUnreadable(Exception):
    """The keys could not be read, or none of them is usable."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key and the one algorithm it verifies."""

    algorithm: str
    key: PublicKey


@dataclass(frozen=True, slots=True, eq=False)
class KeySet:
    """The keys in force, by `kid`."""

    keys: Mapping[str, VerifyingKey]
    digest: bytes


class KeySource(Protocol):
    """Where keys come from."""

    def current(self) -> KeySet:
        """Return the keys in force, without waiting."""

    async def look_again(self) -> KeySet:
        """Read again for a `kid` that is not known, if the last reading is not too recent."""


def parse_keys(content: bytes) -> KeySet:
    """Parse a JWKS; entries that are no usable public key are left out with a warning.

    Raises:
        KeysUnreadable: not a JWKS, or nothing in it is usable.

    """
    try:
        entries = json.loads(content)["keys"]
        found = [_verifying_key(entry) for entry in entries]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = "not a JWKS: an object with a list `keys` is needed"
        raise KeysUnreadable(msg) from error
    keys = dict(entry for entry in found if entry is not None)
    if not keys:
        msg = "no usable key: Ed25519 or RSA of at least 2048 bits, public, each with its own `kid`"
        raise KeysUnreadable(msg)
    return KeySet(keys, hashlib.sha256(content).digest())


class FileKeys:
    """Keys of a file; looks once a second whether it changed."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Raises:
            KeysUnreadable: there is no such file, or nothing usable in it.

        """
        self._path = path
        self._clock = clock
        self._look_at = clock() + FILE_CHECK_SECONDS
        try:
            self._stamp = _stamp(path)
            self._set = parse_keys(path.read_bytes())
        except OSError as error:
            msg = f"{path}: {error.strerror}"
            raise KeysUnreadable(msg) from error

    def current(self) -> KeySet:
        """Return the keys of the file as it was at most a second ago."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + FILE_CHECK_SECONDS
            self._read_if_changed()
        return self._set

    async def look_again(self) -> KeySet:
        """Return the same as `current`, which is recent enough."""
        return self.current()

    def _read_if_changed(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._set = _newer(self._set, parse_keys(self._path.read_bytes()))
            self._stamp = stamp
        except (OSError, KeysUnreadable) as error:
            _refused(error)


class UrlKeys:
    """Keys of an https address, fetched in a thread; call `look_again` once before the first use."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember the address; `tls` says whom to trust, the system's authorities by default.

        Raises:
            KeysUnreadable: the address is not https.

        """
        if not url.startswith("https://"):
            msg = f"{url}: keys are fetched over https only"
            raise KeysUnreadable(msg)
        self._url = url
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=tls or ssl.create_default_context()), _NoRedirect())
        self._clock = clock
        self._set: KeySet | None = None
        self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    def current(self) -> KeySet:
        """Return the last good set, and fetch anew in the background when it is five minutes old."""
        if self._set is None:
            msg = f"{self._url}: not fetched yet"
            raise KeysUnreadable(msg)
        if self._fetching is None and self._clock() - self._tried_at >= URL_REFRESH_SECONDS:
            self._fetching = self._begin_fetch()
        return self._set

    async def look_again(self) -> KeySet:
        """Fetch, unless that was tried less than 30 s ago.

        Raises:
            KeysUnreadable: nothing was ever fetched.

        """
        if self._fetching is not None or self._clock() - self._tried_at >= URL_RETRY_SECONDS:
            # Shielded: the fetch serves every caller that waits for it, also when this one goes away.
            await asyncio.shield(self._fetching or self._begin_fetch())
        return self.current()

    def _begin_fetch(self) -> asyncio.Task[None]:
        self._tried_at = self._clock()
        self._fetching = asyncio.create_task(self._fetch(), name="credential keys")
        return self._fetching

    async def _fetch(self) -> None:
        try:
            self._set = _newer(self._set, parse_keys(await asyncio.to_thread(self._read)))
        except (OSError, http.client.HTTPException, KeysUnreadable) as error:
            _refused(error)
        finally:
            self._fetching = None

    def _read(self) -> bytes:
        with self._opener.open(self._url, timeout=_FETCH_TIMEOUT_SECONDS) as response:
            content: bytes = response.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            msg = f"{self._url}: larger than 1 MiB"
            raise KeysUnreadable(msg)
        return content


def source(location: str) -> FileKeys | UrlKeys:
    """Return the keys of a setting: an https address, else a file."""
    return UrlKeys(location) if "://" in location else FileKeys(Path(location))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever can redirect could name other keys, and a redirect may lead out of https."""

    def redirect_request(self, *_arguments: object) -> None:
        return None


def _verifying_key(entry: Mapping[str, object]) -> tuple[str, VerifyingKey] | None:
    kid, kind = entry.get("kid"), entry.get("kty")
    algorithm = {"OKP": "EdDSA", "RSA": "RS256"}.get(str(kind))
    usable = isinstance(kid, str) and kid and entry.get("use", "sig") == "sig" and entry.get("alg", algorithm) == algorithm
    if not usable or algorithm is None:
        _log.warning("keys.entry_ignored", kid=str(kid)[:64], why="kid, kty, use or alg")
        return None
    try:
        key = jwt.PyJWK(dict(entry), algorithm=algorithm).key
    except jwt.PyJWTError:
        key = None
    strong = isinstance(key, Ed25519PublicKey) or (isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS)
    if not strong:
        _log.warning("keys.entry_ignored", kid=str(kid)[:64], why="not a public Ed25519 key or RSA key of at least 2048 bits")
        return None
    return str(kid), VerifyingKey(algorithm, key)


def _newer(old: KeySet | None, new: KeySet) -> KeySet:
    same = old is not None and old.digest == new.digest
    CREDENTIAL_KEY_REFRESHES.labels("same" if same else "changed").inc()
    return old if old is not None and same else new


def _refused(error: Exception) -> None:
    CREDENTIAL_KEY_REFRESHES.labels("failed").inc()
    _log.error("keys.unreadable", error=type(error).__name__, exc_info=error)


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is written or replaced, also within one tick of its time."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
