"""What a refusal shows, and how a command ends."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from server.ctl.failures import CtlFailure, ExitCode, Refusal, Refused, read_status
from server.ctl.program import hoisted
from server.ctl.render import plain, print_failure, refusal_dict, refusal_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

    from tests.ctl.conftest import Ctl


def packed(*details: Message) -> list[AnyMessage]:
    result = []
    for detail in details:
        box = AnyMessage()
        box.Pack(detail)
        result.append(box)
    return result


@pytest.fixture
def refusal() -> Refusal:
    violation = error_details_pb2.BadRequest.FieldViolation(field="turnover.monthly_income", description="must be at most 10000000")
    status = Status(
        code=3,
        message="a feature is out of range",
        details=packed(
            error_details_pb2.ErrorInfo(
                reason="INPUT_SCHEMA_MISMATCH", domain="analytics", metadata={"request_id": "r-1", "model_version": "1.0.0"}
            ),
            error_details_pb2.BadRequest(field_violations=[violation]),
            error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)),
            error_details_pb2.ResourceInfo(resource_type="model", resource_name="m-1"),
            error_details_pb2.DebugInfo(detail="left out"),
        ),
    )
    return read_status(status)


def test_every_detail_of_a_status_is_read(refusal: Refusal) -> None:
    assert refusal == Refusal(
        code="INVALID_ARGUMENT",
        message="a feature is out of range",
        reason="INPUT_SCHEMA_MISMATCH",
        violations=(("turnover.monthly_income", "must be at most 10000000"),),
        retry_after=1.5,
        resource_type="model",
        resource_name="m-1",
        request_id="r-1",
        metadata={"model_version": "1.0.0"},
    )


def test_a_refusal_is_told_in_lines(refusal: Refusal) -> None:
    assert refusal_lines(refusal) == [
        "INPUT_SCHEMA_MISMATCH: a feature is out of range",
        "  turnover.monthly_income: must be at most 10000000",
        "  model: m-1",
        "  model_version: 1.0.0",
        "  try again in 1.5 s",
        "  request id: r-1",
    ]


def test_a_refusal_is_told_to_scripts(refusal: Refusal) -> None:
    content = refusal_dict(refusal)
    assert content["reason"] == "INPUT_SCHEMA_MISMATCH"
    assert content["violations"] == [{"field": "turnover.monthly_income", "description": "must be at most 10000000"}]
    assert content["retry_after_seconds"] == 1.5


def test_a_failure_goes_to_standard_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Refused(Refusal("FAILED_PRECONDITION", "no active model", reason="NO_ACTIVE_MODEL"), ExitCode.REFUSED)
    print_failure(failure, json_output=False)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "NO_ACTIVE_MODEL: no active model" in shown.err
    assert "analyticsctl train" in shown.err


def test_a_failure_for_a_script_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_failure(CtlFailure("no", ExitCode.BAD_INPUT, "try"), json_output=True)
    assert json.loads(capsys.readouterr().err) == {"error": {"message": "no", "hint": "try", "exit_code": 2}}


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert plain("a\x1b[31mb\nc\u202e") == "a\\x1b[31mb\\nc\\u202e"


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as silent:
        # Bound and not listening: it refuses, and nobody else gets it meanwhile.
        silent.bind(("127.0.0.1", 0))
        yield int(silent.getsockname()[1])


def test_a_server_that_is_not_there_ends_with_code_3_and_no_traceback(ctl: Ctl, closed_port: int) -> None:
    for words in (
        ["jobs"],
        ["facts"],
        ["profile"],
        ["models"],
        ["runs"],
        ["info"],
        ["train", "turnover"],
        ["predict", "turnover", "--employee", "1"],
    ):
        result = ctl(*words, "--address", f"127.0.0.1:{closed_port}", "--token", "t")
        assert result.exit_code == 3, (words, result.output)
        assert "nothing answers at" in result.stderr
        assert "Traceback" not in result.output


def test_a_server_that_is_not_there_is_json_for_a_script(ctl: Ctl, closed_port: int) -> None:
    result = ctl("jobs", "--json", "--address", f"127.0.0.1:{closed_port}", "--token", "t")
    assert json.loads(result.stderr)["error"]["exit_code"] == 3


def test_a_port_that_accepts_and_never_answers_ends_with_code_3(ctl: Ctl) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        result = ctl("--timeout", "0.3", "jobs", "--address", address, "--token", "t")
    assert result.exit_code == 3, result.output


@pytest.mark.parametrize(
    "words",
    [
        ["train", "weather"],
        ["predict", "turnover"],
        ["predict", "turnover", "--set", "job_level"],
        ["predict", "turnover", "--set", "job_level=high"],
        ["predict", "turnover", "--set", "gender=f"],
        ["predict", "turnover", "--set", "left_within_year=yes"],
        ["predict", "spend", "--employee", "1"],
        ["predict", "turnover", "--features-json", "-", "--employee", "1"],
        ["predict", "turnover", "--features-json", "-"],
        ["jobs", "--state", "sleeping"],
        ["jobs", "--limit", "-1"],
        ["facts", "delete"],
        ["facts", "delete", "--employee", "1"],
        ["facts", "delete", "--employee", "1", "--everything", "--yes"],
        ["profile", "set"],
        ["profile", "set", "--industry", "piracy"],
        ["switches", "set", "pooled_training"],
        ["switches", "set", "all=on"],
        ["unknown"],
        ["import", "employees"],
        ["--timeout", "never", "jobs"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_code_2_and_a_sentence(ctl: Ctl, words: list[str]) -> None:
    result = ctl(*words, "--token", "t", stdin='{"a": NaN}')
    assert result.exit_code == 2, result.output
    assert result.stderr.strip()
    assert "Traceback" not in result.output


def test_global_options_may_stand_anywhere() -> None:
    words = ["import", "employees", "f.csv", "--address", "a:1", "--map", "x=y", "--token=t", "--", "--address"]
    assert hoisted(words) == ["--address", "a:1", "--token=t", "import", "employees", "f.csv", "--map", "x=y", "--", "--address"]


def test_help_states_the_exit_codes(ctl: Ctl) -> None:
    result = ctl("--help")
    assert result.exit_code == 0
    assert "Exit codes: 0 done" in result.stdout
