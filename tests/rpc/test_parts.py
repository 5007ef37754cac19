"""Many small parts are refused before they cost anything."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from analytics.v1 import employees_pb2, models_pb2, predictions_pb2
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from server.errors import AnalyticsError, Reason
from server.rpc.interceptors.validate import parse
from server.rpc.methods import Method, services

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
