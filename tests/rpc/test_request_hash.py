"""Which requests are the same request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from analytics.v1 import predictions_pb2 as pb
from google.protobuf.struct_pb2 import Struct

from server.rpc.request_hash import request_hash

if TYPE_CHECKING:
    from collections.abc import Mapping


def wanted(features: dict[str, object], request_id: str = "") -> pb.RequestPredictionRequest:
    struct = Struct()
    struct.update(cast("Mapping[str, str]", features))
    return pb.RequestPredictionRequest(features=struct, request_id=request_id)


def test_the_request_id_is_not_part_of_the_request() -> None:
    assert request_hash(wanted({"a": 1}, "one")) == request_hash(wanted({"a": 1}, "two"))


def test_the_order_of_map_entries_and_the_wire_form_do_not_matter() -> None:
    names = [f"feature_{number}" for number in range(20)]
    forward, backward = wanted(dict.fromkeys(names, 1.0)), wanted(dict.fromkeys(reversed(names), 1.0))
    assert request_hash(forward) == request_hash(backward)
    assert request_hash(pb.RequestPredictionRequest.FromString(forward.SerializeToString())) == request_hash(backward)


def test_every_other_difference_matters() -> None:
    made = [wanted({"a": 1}), wanted({"a": 2}), wanted({"a": "1"}), wanted({"a": True}), wanted({"b": 1}), wanted({}), wanted({"a": None})]
    made.append(pb.RequestPredictionRequest(turnover=pb.TurnoverInput()))
    assert len({request_hash(one) for one in made}) == len(made)


def test_what_has_no_canonical_form_has_a_hash_all_the_same_and_is_refused_where_it_is_read() -> None:
    late = pb.RequestPredictionRequest()
    late.schedule_time.seconds = 2**60
    odd = [wanted({"a": math.nan}), wanted({"a": math.inf}), late]
    assert len({request_hash(each) for each in odd}) == len(odd)
    assert request_hash(wanted({"a": math.nan})) == request_hash(wanted({"a": math.nan}))
