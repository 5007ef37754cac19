"""The error of a job or a run as `google.rpc.Status`."""

from __future__ import annotations

from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "analytics"

_CODES = {
    "CANCELLED": code_pb2.CANCELLED,
    "INPUT_SCHEMA_MISMATCH": code_pb2.INVALID_ARGUMENT,
    "MODEL_NOT_FOUND": code_pb2.NOT_FOUND,
    "NOT_ENOUGH_TRAINING_DATA": code_pb2.FAILED_PRECONDITION,
    "INPUT_LOST": code_pb2.DATA_LOSS,
    "POISON": code_pb2.ABORTED,
    "RETRIES_EXHAUSTED": code_pb2.UNAVAILABLE,
}


def status(reason: str, message: str) -> status_pb2.Status:
    """Return the status of a stored failure."""
    made = status_pb2.Status(code=_CODES.get(reason, code_pb2.INTERNAL), message=message)
    made.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN))
    return made
