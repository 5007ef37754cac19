"""Where the server is and which token is used."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.ctl.connection import Config, Connection, Options, Session, config_paths, load_config, open_channel
from server.ctl.failures import BadInput

if TYPE_CHECKING:
    from tests.ctl.conftest import Ctl

# {"sub": "ann", "org_id": "acme"}, not signed by anybody.
TOKEN = "e30.eyJzdWIiOiAiYW5uIiwgIm9yZ19pZCI6ICJhY21lIn0.sig"


def written(path: Path, **content: object) -> dict[str, str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return {"ANALYTICSCTL_CONFIG": str(path)}


def test_the_data_folder_comes_before_the_home_folder(tmp_path: Path) -> None:
    environment = {"ANALYTICS_DATA_DIR": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "home")}
    home = tmp_path / "home" / "analyticsctl" / "config.json"
    data = tmp_path / "data" / "analyticsctl.json"
    assert config_paths(environment) == [data, home]
    assert load_config(environment) == Config()
    written(home, address="home:1")
    assert load_config(environment).address == "home:1"
    written(data, address="data:1")
    assert load_config(environment).address == "data:1"


def test_the_data_folder_of_make_run_is_the_default() -> None:
    assert config_paths({})[0] == Path(".data/analyticsctl.json")


def test_what_is_said_wins_over_the_file(tmp_path: Path) -> None:
    environment = written(tmp_path / "c.json", address="file:1", tokens={"tenant": "t", "operator": "o", "other": "x"})
    assert Session(Options(), environment).address == "file:1"
    assert Session(Options(address="said:1"), environment).address == "said:1"


def test_without_anything_the_server_is_the_local_one(tmp_path: Path) -> None:
    assert Session(Options(), {"ANALYTICSCTL_CONFIG": str(tmp_path / "none")}).address == "127.0.0.1:50051"


@pytest.mark.parametrize(
    ("options", "tenant", "operator"),
    [
        (Options(), "t", "o"),
        (Options(profile="other"), "x", "x"),
        (Options(token="said"), "said", "said"),
        (Options(token="said", profile="other"), "said", "said"),
    ],
)
def test_each_kind_of_command_takes_its_own_token(tmp_path: Path, options: Options, tenant: str, operator: str) -> None:
    session = Session(options, written(tmp_path / "c.json", tokens={"tenant": "t", "operator": "o", "other": "x"}))
    for connection, token in ((session.tenant, tenant), (session.operator, operator)):
        with connection.calling() as metadata:
            assert dict(metadata)["authorization"] == f"Bearer {token}"
    session.close()


def test_every_call_has_a_request_id_of_its_own(tmp_path: Path) -> None:
    session = Session(Options(token="t"), {})
    ids = set()
    for _ in range(2):
        with session.tenant.calling() as metadata:
            ids.add(dict(metadata)["x-request-id"])
    session.close()
    assert len(ids) == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"tokens": []}', '{"address": 5}'])
def test_a_broken_configuration_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=str(path)):
        load_config({"ANALYTICSCTL_CONFIG": str(path)})


def test_a_missing_certificate_authority_is_told(ctl: Ctl, tmp_path: Path) -> None:
    result = ctl("jobs", "--token", "t", "--ca", str(tmp_path / "none.pem"))
    assert result.exit_code == 2
    assert "certificate authority" in result.stderr


def test_login_keeps_a_token_that_only_the_owner_can_read(ctl: Ctl, config_file: Path) -> None:
    before = os.umask(0)
    try:
        result = ctl("login", stdin=TOKEN + "\n")
    finally:
        os.umask(before)
    assert result.exit_code == 0, result.output
    assert "ann in acme stored as tenant" in result.stdout
    assert TOKEN not in result.output
    assert stat.S_IMODE(config_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(config_file.parent.stat().st_mode) == 0o700
    assert json.loads(config_file.read_text())["tokens"] == {"tenant": TOKEN}


def test_login_keeps_other_tokens_and_the_address(ctl: Ctl, config_file: Path) -> None:
    ctl("login", "--address", "there:1", stdin=TOKEN)
    ctl("login", "--profile", "operator", stdin=f"Bearer {TOKEN}")
    assert json.loads(config_file.read_text()) == {"address": "there:1", "tokens": {"tenant": TOKEN, "operator": TOKEN}}
    assert [path.name for path in config_file.parent.iterdir()] == [config_file.name]


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "a.W10.c"])
def test_login_refuses_what_is_no_token(ctl: Ctl, config_file: Path, token: str) -> None:
    result = ctl("login", stdin=token)
    assert result.exit_code == 2
    assert "not a token" in result.stderr
    assert not config_file.exists()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_ctrl_c_that_costs_the_library_its_lock_is_still_ctrl_c_and_nothing_else_is(failure: type[BaseException]) -> None:
    connection, outer, inner = Connection(open_channel("127.0.0.1:1", ""), "127.0.0.1:1", ""), threading.Condition(), threading.Condition()

    def waiting() -> None:
        with connection.calling(), outer, inner:
            # As `wait` leaves its condition where it is interrupted before it has the lock again.
            inner.release()
            outer.release()
            raise failure

    with pytest.raises(KeyboardInterrupt if failure is KeyboardInterrupt else RuntimeError):
        waiting()
    connection.channel.close()
