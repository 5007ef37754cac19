"""Development keys and tokens: drawn once, private, and checkable with the public half alone."""

from __future__ import annotations

import json
import shlex
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import jwt
import pytest
from analytics.v1.employees_pb2 import EmployeeAttributes
from analytics.v1.predictions_pb2 import RequestPredictionRequest
from google.protobuf import json_format

from server.ctl.fact_fields import ATTRIBUTE_FIELDS
from server.ctl.values import read
from server.embedded import EmbeddedError, guide
from server.embedded.credentials import load_passwords, load_signing_key, mint_token
from server.embedded.environment import build_environment
from server.embedded.guide import lines_to_paste
from server.embedded.preflight import DataFolder, open_data_folder
from server.identity import Role
from server.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataFolder]:
    folder = open_data_folder(tmp_path / "data", None, lambda _: None)
    yield folder
    folder.lock.close()


def _claims(token: str, data: DataFolder) -> dict[str, object]:
    keys = jwt.PyJWKSet.from_json((data.secrets / "jwks.json").read_text())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, object] = jwt.decode(token, key, algorithms=["EdDSA"], audience="analytics", issuer="analytics-dev")
    return claims


def _mint(data: DataFolder, org_id: str | None, *roles: Role) -> str:
    key = load_signing_key(data.secrets)
    return mint_token(key, issuer="analytics-dev", audience="analytics", subject="somebody", org_id=org_id, roles=roles)


def test_secrets_are_drawn_once_and_readable_by_their_owner_only(data: DataFolder) -> None:
    first, key = load_passwords(data.secrets), load_signing_key(data.secrets)
    assert (load_passwords(data.secrets), load_signing_key(data.secrets)) == (first, key)
    assert len({first.owner, first.app, first.dispatch, first.trainer, first.benchmark, first.relay}) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in data.secrets.iterdir()} == {0o600}
    assert {path.name for path in data.secrets.iterdir()} == {"secrets.json", "signing-key.pem", "jwks.json"}


def test_the_secret_key_is_accepted_by_the_settings(data: DataFolder) -> None:
    assert load(secret_key=load_passwords(data.secrets).secret_key).secret_key.get_secret_value()


def test_the_public_file_holds_no_private_part(data: DataFolder) -> None:
    load_signing_key(data.secrets)
    (key,) = json.loads((data.secrets / "jwks.json").read_text())["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}


def test_a_token_carries_the_claims_the_server_checks(data: DataFolder) -> None:
    claims = _claims(_mint(data, "demo-northwind", Role.OWNER, Role.ANALYST), data)
    assert (claims["sub"], claims["org_id"], claims["roles"]) == ("somebody", "demo-northwind", ["owner", "analyst"])
    assert claims["exp"] == int(str(claims["iat"])) + 12 * 3600
    assert claims["nbf"] == claims["iat"]


def test_an_operators_token_names_no_organization(data: DataFolder) -> None:
    assert "org_id" not in _claims(_mint(data, None, Role.OPERATOR), data)


def test_control_a_token_of_another_key_does_not_verify(data: DataFolder, tmp_path: Path) -> None:
    other = open_data_folder(tmp_path / "other", None, lambda _: None)
    token = _mint(other, "demo-northwind", Role.OWNER)
    other.lock.close()
    load_signing_key(data.secrets)
    with pytest.raises(KeyError):
        _claims(token, data)


def test_damaged_secrets_are_one_sentence_that_names_the_file(data: DataFolder) -> None:
    (data.secrets / "secrets.json").write_text('{"owner": "only"}')
    with pytest.raises(EmbeddedError, match=r"secrets\.json is damaged"):
        load_passwords(data.secrets)
    (data.secrets / "signing-key.pem").write_text("nonsense")
    with pytest.raises(EmbeddedError, match=r"signing-key\.pem is damaged"):
        load_signing_key(data.secrets)


def test_what_the_user_set_wins_and_the_superusers_address_stays_with_the_set_up(data: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_LOG_LEVEL", "debug")
    monkeypatch.setenv("ANALYTICS_REFLECTION", "false")
    monkeypatch.setenv("ANALYTICS_ADMIN_DATABASE_URL", "postgresql://root@/postgres")
    monkeypatch.setenv("ANALYTICSCTL_TOKEN", "another server's")
    built = build_environment(data, load_passwords(data.secrets), load_signing_key(data.secrets), None)
    assert built.variables["ANALYTICS_LOG_LEVEL"] == "debug"
    assert built.variables["ANALYTICS_REFLECTION"] == "false"
    assert built.admin_url == "postgresql://root@/postgres"
    assert not {"ANALYTICS_ADMIN_DATABASE_URL", "ANALYTICSCTL_TOKEN"} & set(built.variables)


def test_the_prediction_to_paste_is_a_request_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide, "_grpcurl", lambda: "/usr/bin/grpcurl")
    lines = lines_to_paste("127.0.0.1:50051", "a.b.c")
    assert lines[0] == "export TOKEN=a.b.c"
    (line,) = [line for line in lines if line.endswith("/RequestPrediction")]
    body = line.split(" -d '", 1)[1].split("' ", 1)[0]
    request = json_format.Parse(body, RequestPredictionRequest())
    assert request.turnover.attributes.job_role == "Sales Executive"
    with pytest.raises(json_format.ParseError):
        json_format.Parse(body.replace("job_role", "job_rolle"), RequestPredictionRequest())


def test_where_there_is_no_grpcurl_the_lines_to_paste_are_of_analyticsctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guide, "_BIN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    lines = lines_to_paste("127.0.0.1:50051", "a.b.c", "/a certificate.pem")
    assert lines[0] == "export TOKEN=a.b.c"
    assert [line[0] for line in lines if "grpcurl" in line.replace(str(tmp_path), "")] == ["#"]
    words = shlex.split(lines[-1])
    assert words[:7] == [str(tmp_path / "analyticsctl"), "--address", "127.0.0.1:50051", "--ca", "/a certificate.pem", "--token", "$TOKEN"]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    # Who works full time is not said to.
    assert given.keys() == {descriptor.name for descriptor in EmployeeAttributes.DESCRIPTOR.fields} - {"paid_share"}
    assert all(read(ATTRIBUTE_FIELDS[name], text) is not None for name, text in given.items())


def test_a_password_that_an_earlier_release_did_not_need_is_drawn_and_the_others_stay(data: DataFolder) -> None:
    path = data.secrets / "secrets.json"
    first = load_passwords(data.secrets)
    kept = json.loads(path.read_text())
    del kept["relay"]
    path.write_text(json.dumps(kept))
    second = load_passwords(data.secrets)
    assert second.relay not in {"", first.relay}
    assert replace(second, relay=first.relay) == first
    assert load_passwords(data.secrets) == second


def test_a_secrets_file_that_lost_what_nothing_can_replace_is_refused(data: DataFolder) -> None:
    path = data.secrets / "secrets.json"
    load_passwords(data.secrets)
    kept = json.loads(path.read_text())
    del kept["secret_key"]
    path.write_text(json.dumps(kept))
    with pytest.raises(EmbeddedError, match="damaged"):
        load_passwords(data.secrets)
