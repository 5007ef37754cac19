"""Where the keys of credentials come from, and what happens when they cannot be read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from server.rpc.keys import (
    FILE_CHECK_SECONDS,
    URL_REFRESH_SECONDS,
    URL_RETRY_SECONDS,
    FileKeys,
    KeysUnreadable,
    UrlKeys,
    parse_keys,
)
from tests.rpc import forgeries
from tests.rpc.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def with_entries(*entries: object) -> bytes:
    return json.dumps({"keys": [forgeries.jwk("ed"), *entries]}).encode()


def test_ed25519_and_rsa_keys_are_read_with_their_algorithms() -> None:
    keys = parse_keys(forgeries.jwks("ed", "rsa")).keys
    assert {kid: key.algorithm for kid, key in keys.items()} == {"ed": "EdDSA", "rsa": "RS256"}


@pytest.mark.parametrize(
    "entry",
    [
        {key: value for key, value in forgeries.jwk("other").items() if key != "kid"},
        forgeries.jwk("other") | {"kid": ""},
        forgeries.jwk("other") | {"use": "enc"},
        forgeries.jwk("other") | {"alg": "RS256"},
        forgeries.jwk("other") | {"x": "AAAA"},
        forgeries.jwk("other") | {"crv": "Ed448"},
        forgeries.jwk("other") | {"d": forgeries.b64(bytes(32))},
        {"kty": "oct", "kid": "secret", "k": forgeries.b64(bytes(32))},
        {"kty": "EC", "kid": "curve", "crv": "P-256", "x": "AA", "y": "AA"},
    ],
)
def test_what_is_no_public_signing_key_is_left_out(entry: dict[str, str]) -> None:
    assert list(parse_keys(with_entries(entry)).keys) == ["ed"]


def test_a_short_rsa_key_is_left_out() -> None:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505 - the weakness is the point
    short = {"kty": "RSA", "kid": "short", "n": forgeries.b64(numbers.n.to_bytes(128, "big")), "e": "AQAB"}
    assert list(parse_keys(with_entries(short)).keys) == ["ed"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1]}', b'{"keys": []}', b"\xff", b"[" * 100_000])
def test_what_is_no_key_set_is_refused(content: bytes) -> None:
    with pytest.raises(KeysUnreadable):
        parse_keys(content)


def test_a_missing_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(KeysUnreadable, match="No such file"):
        FileKeys(tmp_path / "none.json")


def test_a_file_is_looked_at_once_a_second_and_read_when_it_changed(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "keys.json"
    path.write_bytes(forgeries.jwks("ed"))
    keys = FileKeys(path, clock)
    first = keys.current()
    path.write_bytes(forgeries.jwks("ed", "rsa"))
    assert keys.current() is first
    clock.now += FILE_CHECK_SECONDS
    assert set(keys.current().keys) == {"ed", "rsa"}


def test_a_file_that_was_replaced_by_the_same_content_is_the_same_set(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "keys.json"
    path.write_bytes(forgeries.jwks("ed"))
    keys = FileKeys(path, clock)
    first = keys.current()
    (tmp_path / "new").write_bytes(forgeries.jwks("ed"))
    (tmp_path / "new").replace(path)
    clock.now += FILE_CHECK_SECONDS
    assert keys.current() is first


def test_a_broken_or_missing_file_leaves_the_last_good_keys_in_force_until_it_is_mended(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "keys.json"
    path.write_bytes(forgeries.jwks("ed"))
    keys = FileKeys(path, clock)
    first = keys.current()
    for broken in (b'{"keys": [', None):
        path.unlink() if broken is None else path.write_bytes(broken)
        clock.now += FILE_CHECK_SECONDS
        assert keys.current() is first
    path.write_bytes(forgeries.jwks("rsa"))
    clock.now += FILE_CHECK_SECONDS
    assert set(keys.current().keys) == {"rsa"}


class KeyServer(BaseHTTPRequestHandler):
    content: ClassVar[bytes] = b""
    status: ClassVar[int] = 200
    asked: ClassVar[int] = 0

    def do_GET(self) -> None:
        KeyServer.asked += 1
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client hangs up on what is too large
            self.wfile.write(self.content)

    def log_message(self, *_arguments: object) -> None:
        """Be quiet."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, ssl.SSLContext]]:
    """An https server with a certificate of its own, and a context that trusts it."""
    authority, chain, root = Authority(), tmp_path / "tls.pem", tmp_path / "root.pem"
    chain.write_bytes(b"".join(authority.issue("127.0.0.1")))
    root.write_bytes(authority.pem)
    KeyServer.content, KeyServer.status, KeyServer.asked = forgeries.jwks("ed"), 200, 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), KeyServer)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}/keys", ssl.create_default_context(cafile=str(root))
    server.shutdown()
    server.server_close()
    thread.join()


async def test_an_address_is_fetched_again_for_an_unknown_key_but_not_more_than_every_30_seconds(
    address: tuple[str, ssl.SSLContext],
) -> None:
    clock = Clock()
    keys = UrlKeys(*address, clock)
    assert set((await keys.look_again()).keys) == {"ed"}
    KeyServer.content = forgeries.jwks("ed", "rsa")
    clock.now += URL_RETRY_SECONDS - 1
    assert set((await keys.look_again()).keys) == {"ed"}
    clock.now += 1
    assert set((await keys.look_again()).keys) == {"ed", "rsa"}
    assert KeyServer.asked == 2


async def test_callers_that_ask_at_the_same_time_share_one_fetch(address: tuple[str, ssl.SSLContext]) -> None:
    keys = UrlKeys(*address, Clock())
    found = await asyncio.gather(*(keys.look_again() for _ in range(5)))
    assert len({id(one) for one in found}) == 1
    assert KeyServer.asked == 1


async def test_an_address_is_fetched_in_the_background_after_five_minutes(address: tuple[str, ssl.SSLContext]) -> None:
    clock = Clock()
    keys = UrlKeys(*address, clock)
    await keys.look_again()
    KeyServer.content = forgeries.jwks("rsa")
    clock.now += URL_REFRESH_SECONDS
    assert set(keys.current().keys) == {"ed"}
    assert set((await keys.look_again()).keys) == {"rsa"}
    assert KeyServer.asked == 2


@pytest.mark.parametrize(("status", "content"), [(500, b""), (302, b""), (200, b"no keys"), (200, b" " * (1 << 20) + b" ")])
async def test_a_failed_fetch_leaves_the_last_good_keys_in_force(address: tuple[str, ssl.SSLContext], status: int, content: bytes) -> None:
    clock = Clock()
    keys = UrlKeys(*address, clock)
    first = await keys.look_again()
    KeyServer.status, KeyServer.content = status, content
    clock.now += URL_RETRY_SECONDS
    assert await keys.look_again() is first
    assert KeyServer.asked == 2


async def test_an_address_that_never_answered_is_an_error(address: tuple[str, ssl.SSLContext]) -> None:
    KeyServer.status = 500
    with pytest.raises(KeysUnreadable, match="not fetched"):
        await UrlKeys(*address, Clock()).look_again()


async def test_a_server_that_nobody_vouches_for_is_not_believed(address: tuple[str, ssl.SSLContext]) -> None:
    with pytest.raises(KeysUnreadable):
        await UrlKeys(address[0]).look_again()
    assert KeyServer.asked == 0


def test_plain_http_is_refused() -> None:
    with pytest.raises(KeysUnreadable, match="https"):
        UrlKeys("http://127.0.0.1/keys")
