"""PostgreSQL and Valkey as children: data stays, leftovers of a crash do not stand in the way, one owner per folder."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from server.embedded import EmbeddedError
from server.embedded.account import server_account
from server.embedded.postgres import start_postgres
from server.embedded.valkey import start_valkey


async def _query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_postgres_keeps_what_was_committed_over_a_stop_and_a_kill_9(home: Path) -> None:
    server = start_postgres(home / "postgres", fast=True)
    try:
        await _query(server.admin_url, "CREATE TABLE kept (n int)")
        await _query(server.admin_url, "INSERT INTO kept VALUES (1)")
    finally:
        server.stop()
    server = start_postgres(home / "postgres", fast=True)
    try:
        await _query(server.admin_url, "INSERT INTO kept VALUES (2)")
    finally:
        server.kill()
    server = start_postgres(home / "postgres", fast=True)
    try:
        assert await _query(server.admin_url, "SELECT sum(n) FROM kept") == 3
    finally:
        server.stop()


async def test_postgres_asks_for_the_password(home: Path) -> None:
    server = start_postgres(home / "postgres", fast=True)
    try:
        assert await _query(server.admin_url, "SELECT 1") == 1
        with pytest.raises(asyncpg.InvalidPasswordError):
            await _query(server.url("postgres", "wrong", "postgres"), "SELECT 1")
        assert stat.S_IMODE((home / "postgres" / "superuser").stat().st_mode) == 0o600
    finally:
        server.stop()


async def test_a_stale_pid_file_that_names_a_living_process_does_not_stop_postgres(home: Path) -> None:
    start_postgres(home / "postgres", fast=True).stop()
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getppid()}\n{home}/postgres/data\n1\n5432\n\n\n\n")
    if (account := server_account()) is not None:
        os.chown(pid_file, account.uid, account.gid)
    server = start_postgres(home / "postgres", fast=True)
    try:
        assert await _query(server.admin_url, "SELECT 1") == 1
    finally:
        server.stop()


async def test_an_initdb_that_was_cut_off_is_done_again(home: Path) -> None:
    folder = home / "postgres"
    start_postgres(folder, fast=True).stop()
    (folder / "data").rename(folder / "data.new")
    (folder / "data.new" / "PG_VERSION").unlink()
    server = start_postgres(folder, fast=True)
    try:
        assert await _query(server.admin_url, "SELECT 1") == 1
    finally:
        server.stop()


def test_a_folder_in_use_is_refused_in_one_sentence(home: Path) -> None:
    postgres = start_postgres(home / "postgres", fast=True)
    valkey = start_valkey(home / "valkey")
    try:
        with pytest.raises(
            EmbeddedError, match=rf"^PostgreSQL already runs in .* \(process {postgres.pid}\); stop it or choose another folder$"
        ):
            start_postgres(home / "postgres", fast=True, patience=0)
        with pytest.raises(EmbeddedError, match=rf"^Valkey already runs in .* \(process {valkey.pid}\); stop it or choose another folder$"):
            start_valkey(home / "valkey", patience=0)
    finally:
        postgres.stop()
        valkey.stop()


async def test_a_path_too_long_or_too_odd_for_a_socket_gets_a_short_one(home: Path) -> None:
    folder = home / "with a space" / ("x" * 100)
    postgres = start_postgres(folder / "postgres", fast=True)
    valkey = start_valkey(folder / "valkey")
    try:
        assert postgres.sockets.parent == valkey.socket_path.parent.parent == Path("/tmp")  # noqa: S108
        assert await _query(postgres.admin_url, "SELECT 1") == 1
    finally:
        postgres.stop()
        valkey.stop()
        shutil.rmtree(postgres.sockets)
        shutil.rmtree(valkey.socket_path.parent)


async def test_valkey_keeps_what_it_acknowledged_over_a_kill_9_and_evicts_nothing(home: Path) -> None:
    server = start_valkey(home / "valkey")
    async with Redis.from_url(server.url) as client:
        await client.set("kept", "yes")
        assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert await client.config_get("port") == {"port": "0"}
    server.kill()
    server = start_valkey(home / "valkey")
    try:
        async with Redis.from_url(server.url) as client:
            assert await client.get("kept") == b"yes"
    finally:
        server.stop()


def test_a_folder_of_somebody_else_is_refused_and_left_alone(home: Path) -> None:
    folder = home / "postgres"
    folder.mkdir(mode=0o755)
    (folder / "thesis.txt").write_text("not ours")
    account = server_account()
    if account is None:
        folder.chmod(0o555)
    with pytest.raises(EmbeddedError, match=r"belongs to another user|cannot be written"):
        start_postgres(folder, fast=True)
    assert stat.S_IMODE(folder.stat().st_mode) == (0o755 if account else 0o555)
    assert folder.stat().st_uid == os.geteuid()
    folder.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its servers to another user")
def test_root_runs_the_servers_as_nobody_and_says_when_nobody_cannot_reach_the_folder(home: Path) -> None:
    account = server_account()
    assert account is not None
    server = start_valkey(home / "valkey")
    try:
        assert Path(f"/proc/{server.pid}").stat().st_uid == account.uid
    finally:
        server.stop()
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match="user nobody, which runs the databases under root, cannot reach"):
        start_valkey(closed / "valkey")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
