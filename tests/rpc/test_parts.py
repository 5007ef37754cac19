"""Many small parts are refused before they cost anything."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from analytics.v1 import employees_pb2, fact_service_pb2, models_pb2, predictions_pb2
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from server.errors import AnalyticsError, Reason
from server.rpc.interceptors.validate import parse
from server.rpc.methods import Method, services
from server.rpc.parts import check_rows
from tests.support.made_facts import every_batch

if TYPE_CHECKING:
    from google.protobuf.message import Message

METHODS = {method.name: method for methods in services().values() for method in methods}


def refused(method: Method, raw: bytes) -> Reason:
    """Return why a message is refused, having used little memory for it."""
    tracemalloc.start()
    try:
        with pytest.raises(AnalyticsError) as caught:
            parse(method, raw)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    return caught.value.reason


def test_a_batch_of_many_empty_items_is_too_large() -> None:
    assert refused(METHODS["BatchRequestPredictions"], b"\x0a\x00" * 150_000) is Reason.BATCH_TOO_LARGE


def varint(number: int) -> bytes:
    """Return a number as it stands in a serialized message."""
    low = bytes([number & 0x7F | (0x80 if number > 0x7F else 0)])
    return low + varint(number >> 7) if number > 0x7F else low


ROWS = b"\x0a\x00" * 2_000_000


@pytest.mark.parametrize(
    "raw",
    [b"\x0a" + varint(len(ROWS)) + ROWS, b"\x1a\x02\x0a\x00" * 1_000_000, b"\x0a\x00" * 2_000_000, b"\x78\x01" * 2_000_000],
    ids=["rows", "parts of a batch", "batches", "unknown fields"],
)
def test_millions_of_rows_in_one_message_are_refused_before_they_are_parsed(raw: bytes) -> None:
    class Unparsed:
        """Stands where the class of the message stands."""

        @staticmethod
        def FromString(_: bytes) -> None:  # noqa: N802 - the name is protobuf's
            pytest.fail("the message was parsed")

    method = replace(METHODS["IngestFacts"], request=cast("type[Message]", Unparsed))
    began = time.process_time()
    assert refused(method, raw) is Reason.BATCH_TOO_LARGE
    assert time.process_time() - began < 2


def test_a_struct_of_a_million_values_is_refused() -> None:
    request = predictions_pb2.RequestPredictionRequest(model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
    request.features.fields["x"].list_value.CopyFrom(ListValue(values=[Value()] * 200_000))
    assert refused(METHODS["RequestPrediction"], request.SerializeToString()) is Reason.VALIDATION_FAILED


def test_an_honest_batch_of_the_largest_size_passes() -> None:
    item = predictions_pb2.PredictionInput(model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
    item.turnover.attributes.CopyFrom(employees_pb2.EmployeeAttributes(department="Sales", job_role="Clerk", monthly_income=1))
    open_item = predictions_pb2.PredictionInput(model_type=models_pb2.MODEL_TYPE_TURNOVER_PREDICTION)
    features = Struct()
    features.update({f"feature_{number}": number for number in range(200)})
    open_item.features.CopyFrom(features)
    batch = predictions_pb2.BatchRequestPredictionsRequest(predictions=[item] * 250 + [open_item] * 250)
    began = time.process_time()
    assert parse(METHODS["BatchRequestPredictions"], batch.SerializeToString()) == batch
    print(f"checked in {time.process_time() - began:.3f} s of processor time")


@given(st.lists(st.sampled_from(list(every_batch())), max_size=20))
def test_rows_are_counted_as_a_parser_counts_them(batches: list[fact_service_pb2.IngestFactsRequest]) -> None:
    # Serialized messages one after the other are one message: members of the same name are merged.
    raw = b"".join(batch.SerializeToString() for batch in batches)
    entries = len(batches) + len(batches)
    check_rows(raw, entries)
    if batches:
        with pytest.raises(AnalyticsError):
            check_rows(raw, entries - 1)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_left_to_the_parser(raw: bytes) -> None:
    check_rows(raw, 1000)
