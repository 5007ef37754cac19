"""Bad requests for predictions: a typed error that names the field, and nothing is left of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from analytics.v1 import models_pb2
from analytics.v1 import predictions_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support import credentials, live, rows
from tests.support.asking import PLAIN, TURNOVER, new_org, typed, untyped
from tests.support.leftovers import nothing_of
from tests.support.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.databases import Cluster
    from tests.support.live import Service

pytestmark = pytest.mark.xdist_group("bad input")

REQUEST = "/analytics.v1.AnalyticsService/RequestPrediction"
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@dataclass(frozen=True)
class Bad:
    """A change that spoils a good request, and the answer it must get."""

    name: str
    request: pb.RequestPredictionRequest
    reason: str
    field: str = ""
    code: grpc.StatusCode = INVALID


def _typed(name: str, reason: str, field: str, **changes: object) -> Bad:
    """A typed request with other attributes; None takes one away."""
    request = typed(1)
    for attribute, value in changes.items():
        if value is None:
            request.turnover.attributes.ClearField(attribute)  # type: ignore[arg-type]  # any field of the message
        else:
            setattr(request.turnover.attributes, attribute, value)
    return Bad(name, request, reason, f"turnover.attributes.{field}")


def _open(name: str, field: str, **features: object) -> Bad:
    return Bad(name, untyped(PLAIN | features), "INPUT_SCHEMA_MISMATCH", f"features.{field}" if field else "features")


def _other(name: str, reason: str, field: str, change: Callable[[pb.RequestPredictionRequest], None]) -> Bad:
    request = typed(1)
    change(request)
    return Bad(name, request, reason, field)


def _ahead(**parts: int) -> Callable[[pb.RequestPredictionRequest], None]:
    return lambda request: request.schedule_time.CopyFrom(Timestamp(**parts))


MISMATCH, FAILED = "INPUT_SCHEMA_MISMATCH", "VALIDATION_FAILED"
_YEAR_9998 = 253_339_000_000

TYPED = [
    _typed("a missing department", MISMATCH, "department", department=None),
    _typed("a missing job role", MISMATCH, "job_role", job_role=None),
    _typed("a missing income", MISMATCH, "monthly_income", monthly_income=None),
    _typed("missing years", MISMATCH, "years_at_company", years_at_company=None),
    _typed("an empty text", FAILED, "department", department=""),
    _typed("a blank text", MISMATCH, "department", department="  "),
    _typed("a control character", FAILED, "job_role", job_role="Cl\x00erk"),
    _typed("a line break", FAILED, "education_field", education_field="Life\nSciences"),
    _typed("a text of 129 characters", FAILED, "job_role", job_role="x" * 129),
    _typed("a text of 1 MB", FAILED, "department", department="x" * 1_000_000),
    _typed("NaN", FAILED, "monthly_income", monthly_income=math.nan),
    _typed("infinity", FAILED, "monthly_income", monthly_income=math.inf),
    _typed("minus infinity", FAILED, "years_at_company", years_at_company=-math.inf),
    _typed("negative pay", FAILED, "monthly_income", monthly_income=-1),
    _typed("pay above the range", FAILED, "monthly_income", monthly_income=10_000_001),
    _typed("a level below the range", FAILED, "job_level", job_level=0),
    _typed("a level above the range", FAILED, "job_level", job_level=2**31 - 1),
    _typed("an unknown enum number", FAILED, "business_travel", business_travel=99),
]

OPEN = [
    _open("an unknown feature", "shoe_size", shoe_size=44),
    _open("a protected attribute", "age", age=44),
    _open("a text for a number", "monthly_income", monthly_income="3000"),
    _open("true for a number", "monthly_income", monthly_income=True),
    _open("true for a whole number", "job_level", job_level=True),
    _open("a number for true or false", "over_time", over_time=1),
    _open("a text for true or false", "over_time", over_time="yes"),
    _open("a number for a text", "department", department=7),
    _open("true for a text", "department", department=True),
    _open("null for a required feature", "department", department=None),
    _open("a fraction for a whole number", "job_level", job_level=2.5),
    _open("NaN in open input", "monthly_income", monthly_income=math.nan),
    _open("infinity in open input", "monthly_income", monthly_income=math.inf),
    _open("minus infinity in open input", "job_level", job_level=-math.inf),
    _open("a number beyond all range", "years_at_company", years_at_company=1e300),
    _open("negative pay in open input", "monthly_income", monthly_income=-0.01),
    _open("an unknown word of a closed category", "business_travel", business_travel="daily"),
    _open("a list", "department", department=["Sales"]),
    _open("an object", "department", department={"name": "Sales"}),
    _open("201 fields", "", **{f"f{number}": number for number in range(197)}),
    _open("a text of 1 MB in open input", "department", department="x" * 1_000_000),
    Bad("no features at all", untyped({}), MISMATCH, "features.department"),
    Bad("a turnover input without anything", pb.RequestPredictionRequest(model_type=TURNOVER, turnover=pb.TurnoverInput()), MISMATCH,
        "turnover.attributes.department"),
]  # fmt: skip

OTHER = [
    _other("no input", FAILED, "input", lambda request: request.ClearField("turnover")),
    _other("no model type", FAILED, "model_type", lambda request: request.ClearField("model_type")),
    _other("an unknown model type", FAILED, "model_type", lambda request: setattr(request, "model_type", 99)),
    _other("a schedule time more than 24 hours ahead", FAILED, "schedule_time", _ahead(seconds=_YEAR_9998)),
    _other("a schedule time in the year 10000", FAILED, "schedule_time", _ahead(seconds=253_402_300_800)),
    _other("a schedule time before the year 1", FAILED, "schedule_time", _ahead(seconds=-62_135_596_801)),
    _other("a schedule time with too many nanoseconds", FAILED, "schedule_time", _ahead(seconds=1, nanos=2_000_000_000)),
    _other("a schedule time with negative nanoseconds", FAILED, "schedule_time", _ahead(seconds=1, nanos=-1)),
    _other("a request id that is no UUID", FAILED, "request_id", lambda request: setattr(request, "request_id", "once")),
    _other("an employee key with a control character", FAILED, "turnover.employee_key",
           lambda request: setattr(request.turnover, "employee_key", "e-1\x00")),
    _other("an employee key of 129 characters", FAILED, "turnover.employee_key",
           lambda request: setattr(request.turnover, "employee_key", "x" * 129)),
]  # fmt: skip


@pytest.mark.parametrize("bad", [*TYPED, *OPEN, *OTHER], ids=lambda bad: bad.name)
@pytest.mark.parametrize("with_id", [False, True], ids=["", "with a request id"])
async def test_a_bad_request_is_refused_by_field_and_leaves_nothing(cluster: Cluster, shared: Service, bad: Bad, with_id: bool) -> None:  # noqa: FBT001 - a table's column
    org = new_org()
    request = pb.RequestPredictionRequest()
    request.CopyFrom(bad.request)
    if with_id and not request.request_id:
        request.request_id = str(uuid4())
    refused = await refusal(shared.analytics.RequestPrediction(request, metadata=live.bearer(org)))
    assert refused.code is bad.code, refused.status
    assert (refused.reason, bad.field in refused.fields) == (bad.reason, True), refused.status
    assert await nothing_of(cluster, shared, org)


@pytest.mark.parametrize("kind", [2, 3, 4], ids=models_pb2.ModelType.Name)
async def test_a_model_type_without_an_active_model_is_refused(cluster: Cluster, shared: Service, org: str, kind: int) -> None:
    request = untyped(PLAIN)
    request.model_type = kind  # type: ignore[assignment]  # a number of the enum
    refused = await refusal(shared.analytics.RequestPrediction(request, metadata=live.bearer(org)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_ACTIVE_MODEL")
    assert await nothing_of(cluster, shared, org)


async def test_without_any_model_the_answer_says_what_is_missing(cluster: Cluster, service: Service, org: str) -> None:
    refused = await refusal(service.analytics.RequestPrediction(typed(1), metadata=live.bearer(org)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_ACTIVE_MODEL")
    assert await nothing_of(cluster, service, org)


@pytest.mark.parametrize("key", ["nobody", "💥" * 32, "'; DROP TABLE employees; --"])
async def test_an_unknown_employee_is_not_found(cluster: Cluster, shared: Service, org: str, key: str) -> None:
    request = pb.RequestPredictionRequest(model_type=TURNOVER)
    request.turnover.employee_key = key
    request.turnover.attributes.CopyFrom(rows.attributes(1))
    refused = await refusal(shared.analytics.RequestPrediction(request, metadata=live.bearer(org)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "EMPLOYEE_NOT_FOUND")
    assert await nothing_of(cluster, shared, org)


async def test_an_expired_token_is_unauthenticated_and_leaves_nothing(cluster: Cluster, shared: Service, org: str) -> None:
    expired = (("authorization", f"Bearer {credentials.token(org, lifetime=-60)}"),)
    refused = await refusal(shared.analytics.RequestPrediction(typed(1), metadata=expired))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_EXPIRED")
    assert await nothing_of(cluster, shared, org)


def _nested(depth: int) -> bytes:
    """A request whose Struct is `depth` deep, by hand: the library refuses to write what is too deep."""
    value = b"\x20\x01"
    for _ in range(depth):
        entry = b"\x0a\x01x\x12" + _varint(len(value)) + value
        inner = b"\x0a" + _varint(len(entry)) + entry
        value = b"\x2a" + _varint(len(inner)) + inner
    entry = b"\x0a\x01x\x12" + _varint(len(value)) + value
    struct = b"\x0a" + _varint(len(entry)) + entry
    return b"\x08\x01\x1a" + _varint(len(struct)) + struct


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


TOO_LARGE = grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (_nested(10), (INVALID, MISMATCH)),
        (_nested(100), (INVALID, FAILED)),
        (_nested(10_000), (INVALID, FAILED)),
        (b"\xff\xff\xff\xff", (INVALID, FAILED)),
        (untyped({"x": "y" * (5 << 20)}).SerializeToString(), (TOO_LARGE, "MESSAGE_TOO_LARGE")),
    ],
    ids=["a Struct 10 deep", "a Struct 100 deep", "a Struct 10,000 deep", "garbage", "5 MiB"],
)
async def test_bytes_that_are_no_acceptable_request_are_refused(
    cluster: Cluster, shared: Service, org: str, raw: bytes, answer: tuple[grpc.StatusCode, str]
) -> None:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = shared.channel.unary_unary(REQUEST)
    refused = await refusal(call(raw, metadata=live.bearer(org)))
    assert (refused.code, refused.reason) == answer
    assert await nothing_of(cluster, shared, org)


async def test_an_error_about_many_fields_stays_small_and_counts_the_rest(shared: Service, org: str) -> None:
    features = {f"unknown_feature_{number}_{'x' * 100}": "secret-value" for number in range(190)}
    refused = await refusal(shared.analytics.RequestPrediction(untyped(features), metadata=live.bearer(org)))
    assert refused.reason == MISMATCH
    assert b"secret-value" not in refused.status.SerializeToString()


UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("job_id", ["", "x", UNKNOWN[:-1], f"{UNKNOWN}0", "../../etc/passwd", "\x00"])
async def test_an_id_that_is_no_uuid_is_invalid(shared: Service, org: str, job_id: str) -> None:
    who = live.bearer(org)
    for call in (
        shared.analytics.GetPredictionJob(pb.GetPredictionJobRequest(job_id=job_id), metadata=who),
        shared.analytics.CancelPredictionJob(pb.CancelPredictionJobRequest(job_id=job_id), metadata=who),
        _first(shared, pb.WatchPredictionJobRequest(job_id=job_id), who),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason, set(refused.fields)) == (INVALID, FAILED, {"job_id"})


async def test_an_unknown_and_a_foreign_id_are_not_found_and_stay_as_they_were(cluster: Cluster, shared: Service, org: str) -> None:
    owner = new_org()
    foreign = (await shared.analytics.RequestPrediction(typed(500), metadata=live.bearer(owner))).job_id
    who = live.bearer(org)
    for job_id in (UNKNOWN, foreign):
        for call in (
            shared.analytics.GetPredictionJob(pb.GetPredictionJobRequest(job_id=job_id), metadata=who),
            shared.analytics.CancelPredictionJob(pb.CancelPredictionJobRequest(job_id=job_id), metadata=who),
            _first(shared, pb.WatchPredictionJobRequest(job_id=job_id), who),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "PREDICTION_JOB_NOT_FOUND")
    assert await nothing_of(cluster, shared, org)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListPredictionJobsRequest(page_size=-1), "page_size"),
        (pb.ListPredictionJobsRequest(state=77), "state"),  # type: ignore[arg-type]  # a number the enum does not have
        (pb.ListPredictionJobsRequest(model_type=77), "model_type"),  # type: ignore[arg-type]  # as above
        (pb.ListPredictionJobsRequest(page_token="x" * 1025), "page_token"),
        (pb.ListPredictionJobsRequest(page_token="AAAA"), "page_token"),
        (pb.ListPredictionJobsRequest(page_token="not base64 at all ☠"), "page_token"),
    ],
    ids=["size", "state", "type", "long token", "forged token", "token of other characters"],
)
async def test_a_bad_list_request_names_the_field(shared: Service, org: str, request_: pb.ListPredictionJobsRequest, field: str) -> None:
    refused = await refusal(shared.analytics.ListPredictionJobs(request_, metadata=live.bearer(org)))
    assert (refused.code, set(refused.fields)) == (INVALID, {field})


@pytest.mark.parametrize("wait", [{"seconds": -1}, {"nanos": -1}, {"seconds": 31}, {"seconds": 30, "nanos": 1}, {"seconds": 2**40}])
async def test_a_wait_outside_0_to_30_seconds_is_invalid(shared: Service, org: str, wait: dict[str, int]) -> None:
    request = pb.GetPredictionJobRequest(job_id=UNKNOWN, wait=wait)  # type: ignore[arg-type]  # a mapping is taken for a message
    refused = await refusal(shared.analytics.GetPredictionJob(request, metadata=live.bearer(org)))
    assert (refused.reason, set(refused.fields)) == (FAILED, {"wait"})


async def _first(service: Service, request: pb.WatchPredictionJobRequest, who: live.Metadata) -> pb.WatchPredictionJobResponse:
    return await anext(aiter(service.analytics.WatchPredictionJob(request, metadata=who)))
