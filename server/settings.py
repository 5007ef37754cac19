"""All settings, read once from `ANALYTICS_*` and checked at start; `docs/settings.md` is made from the field texts here."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args, get_origin

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def _key_of_32_bytes(value: SecretStr) -> SecretStr:
    try:
        raw = base64.b64decode(value.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if value.get_secret_value() and len(raw) != 32:  # noqa: PLR2004 - AES-256 and HMAC-SHA-256 keys
        msg = "must be 32 random bytes in base64 (openssl rand -base64 32)"
        raise ValueError(msg)
    return value


Port = Annotated[int, Field(ge=0, le=65535)]
Key = Annotated[SecretStr, AfterValidator(_key_of_32_bytes)]


class Settings(BaseSettings):
    """One frozen value for a process; every field has a default that fits `make run`, or is refused when it is needed and absent."""

    model_config = SettingsConfigDict(env_prefix="ANALYTICS_", frozen=True, extra="ignore")

    grpc_host: str = Field("127.0.0.1", description="Address the gRPC server listens on.")
    grpc_port: Port = Field(50051, description="Port of the gRPC server; 0 takes a free one.")
    metrics_port: Port = Field(9464, description="Port of the server's Prometheus metrics; 0 takes a free one.")
    worker_metrics_port: Port = Field(9465, description="Port of the worker's Prometheus metrics; 0 takes a free one.")
    data_dir: Path = Field(Path(".data"), description="Folder of `make run`: embedded databases, keys, demo tokens.")
    database_url: str = Field("", description="`postgresql://owner:password@host:port/database` of the owner, who runs migrations.")
    db_app_password: SecretStr = Field(SecretStr(""), description="Password of role `app` (requests and tenant work).")
    db_dispatch_password: SecretStr = Field(SecretStr(""), description="Password of role `dispatch` (queue columns only).")
    db_trainer_password: SecretStr = Field(SecretStr(""), description="Password of role `trainer` (pooled, consented rows; models).")
    db_benchmark_password: SecretStr = Field(
        SecretStr(""), description="Password of role `benchmark` (values of contributing organizations under tags; benchmark cells)."
    )
    db_relay_password: SecretStr = Field(SecretStr(""), description="Password of role `relay` (publishing events).")
    db_pool_size: int = Field(8, ge=1, le=200, description="Connections per process of role `app`; other roles take two.")
    redis_url: str = Field("", description="`redis://host:port/0` or `unix:///path/valkey.sock` of Valkey or Redis.")
    redis_timeout_seconds: float = Field(
        0.6,
        gt=0,
        le=60,
        description="How long an answer of Valkey is waited for; then a request is UNAVAILABLE, with 0.6 within a second.",
    )
    secret_key: Key = Field(
        SecretStr(""), description="32 bytes in base64; page tokens and prediction inputs are sealed with keys derived from it."
    )
    previous_secret_key: Key = Field(SecretStr(""), description="The key before the last rotation, still accepted for opening.")
    jwt_keys: str = Field("", description="JWKS with the public keys of credentials: a file (read again when it changes) or an https URL.")
    jwt_issuer: str = Field("analytics-dev", description="Required `iss` of a credential.")
    jwt_audience: str = Field("analytics", description="Required `aud` of a credential.")
    jwt_leeway_seconds: float = Field(5.0, ge=0, le=60, description="Tolerated clock difference for `exp` and `nbf`.")
    tls_certificate: str = Field(
        "", description="PEM file of the server certificate; empty serves plain text (behind a mesh or on loopback)."
    )
    tls_private_key: str = Field("", description="PEM file of the certificate's private key.")
    tls_client_ca: str = Field("", description="PEM file; when set, clients must show a certificate signed by it (besides their token).")
    default_deadline_seconds: float = Field(35.0, gt=0, le=600, description="Deadline of a unary call that sets none.")
    max_deadline_seconds: float = Field(60.0, gt=0, le=3600, description="Cap of a unary call's deadline.")
    max_stream_seconds: float = Field(3600.0, gt=0, le=86400, description="Cap of a stream's life; the client resumes.")
    tenant_requests_per_second: float = Field(200.0, gt=0, description="Sustained calls per second, tenant and process.")
    tenant_request_burst: int = Field(400, ge=1, description="Calls a tenant may make at once before the rate applies.")
    tenant_concurrent_calls: int = Field(200, ge=1, description="Calls and streams of a tenant that a process works on at once.")
    max_concurrent_calls: int = Field(1000, ge=1, description="Calls a process works on at once; more are refused.")
    drain_seconds: float = Field(10.0, ge=0, le=600, description="How long running calls and jobs may finish after SIGTERM.")
    reflection: bool = Field(False, description="Serve gRPC reflection (on under `make run`).")
    predictions_per_org: int = Field(2, ge=0, description="Predictions of one organization that run at the same time; 0 is no limit.")
    predictions_per_model_type: int = Field(0, ge=0, description="Predictions of one model type that run at the same time; 0 is no limit.")
    predictions_in_all: int = Field(0, ge=0, description="Predictions that run at the same time in all; 0 is no limit.")
    prediction_starts_per_minute: int = Field(50, ge=0, description="Prediction starts in any 60 s, over all organizations; 0 is no limit.")
    prediction_starts_per_minute_per_org: int = Field(
        0, ge=0, description="Prediction starts of one organization in any 60 s; 0 is no limit."
    )
    prediction_starts_per_minute_per_model_type: int = Field(
        0, ge=0, description="Prediction starts of one model type in any 60 s; 0 is no limit."
    )
    prediction_backlog_per_org: int = Field(
        10_000, ge=1, description="Waiting predictions of one organization; more are PREDICTION_QUEUE_FULL. Kept exactly."
    )
    prediction_backlog_in_all: int = Field(
        1_000_000,
        ge=1,
        description="Waiting predictions over all organizations; more are PREDICTION_QUEUE_FULL. Counted now and then.",
    )
    prediction_lease_seconds: float = Field(30.0, gt=0, le=600, description="How long a worker holds a prediction without renewing.")
    prediction_attempts: int = Field(
        3, ge=1, le=10, description="Runs of a prediction that may fail for a passing reason, or end their worker, before it fails."
    )
    prediction_input_ttl_seconds: int = Field(
        3600, ge=60, description="Life in seconds of an encrypted input in Valkey; renewed while its job waits or runs."
    )
    run_lease_seconds: float = Field(
        60.0, gt=0, le=3600, description="How long a worker holds a training or scheduled run without renewing."
    )
    run_concurrency: int = Field(2, ge=1, le=16, description="Trainings and scheduled runs one worker process works on at once.")
    worker_concurrency: int = Field(8, ge=1, le=256, description="Predictions one worker process runs at once.")
    demo_organizations: int = Field(
        414, ge=40, le=414, description="Demo organizations that `make run` loads; fewer are ready sooner and show fewer benchmarks."
    )
    training_at_once: int = Field(2, ge=1, le=4, description="Model types that one retraining trains at once, a core each.")
    training_minimum_rows: int = Field(200, ge=50, description="Labelled rows below which a training is refused.")
    benchmark_private: bool = Field(
        False, description="Release benchmarks of 100 organizations or more with differential privacy, with noise by OpenDP."
    )
    benchmark_epsilon: float = Field(1.0, gt=0, le=10, description="Privacy that a private release of a benchmark cell costs.")
    benchmark_epsilon_per_year: float = Field(
        12.0, gt=0, le=1000, description="Privacy that a benchmark cell may cost in a calendar year; then its last private release stays."
    )
    otlp_endpoint: str = Field("", description="gRPC endpoint of an OpenTelemetry collector; empty keeps spans in the process.")
    embedded: bool = Field(False, description="Set by `make run` for its own databases; keeps advice meant for external ones quiet.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")

    @model_validator(mode="after")
    def _urls_come_together(self) -> Settings:
        if bool(self.database_url) != bool(self.redis_url):
            msg = "ANALYTICS_DATABASE_URL and ANALYTICS_REDIS_URL are set together or not at all"
            raise ValueError(msg)
        if bool(self.tls_certificate) != bool(self.tls_private_key):
            msg = "ANALYTICS_TLS_CERTIFICATE and ANALYTICS_TLS_PRIVATE_KEY are set together or not at all"
            raise ValueError(msg)
        return self


class SettingsInvalid(Exception):
    """One readable sentence per wrong setting."""


def load(**overrides: object) -> Settings:
    """Read the environment.

    Raises:
        SettingsInvalid: a setting is out of range or missing its partner; the text names the variable and the rule.

    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = "ANALYTICS_" + "_".join(str(part) for part in problem["loc"]).upper() if problem["loc"] else "settings"
            lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
        raise SettingsInvalid("; ".join(lines)) from None


def require(settings: Settings, *names: str) -> None:
    """Refuse to start without the named settings.

    Raises:
        SettingsInvalid: at least one is empty.

    """
    missing = [name for name in names if not _text(getattr(settings, name))]
    if missing:
        raise SettingsInvalid("; ".join(f"ANALYTICS_{name.upper()} is not set ({describe(name)})" for name in missing))


def describe(name: str) -> str:
    """The documentation of a field."""
    return Settings.model_fields[name].description or ""


def table() -> str:
    """All settings as a Markdown table; `docs/settings.md` ends with it."""
    head = ["| variable | default | allowed | meaning |", "|---|---|---|---|"]
    return "\n".join(head + [_row(f"ANALYTICS_{name.upper()}", field) for name, field in Settings.model_fields.items()])


def _row(variable: str, field: FieldInfo) -> str:
    default = _text(field.default).lower() if field.annotation is bool else _text(field.default)
    return f"| `{variable}` | {f'`{default}`' if default else 'empty'} | {_allowed(field)} | {field.description} |"


def _allowed(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    if field.annotation is bool:
        return "`true`, `false`"
    bounds = [f"{sign} {getattr(rule, name)}" for rule in field.metadata for name, sign in _SIGNS.items() if hasattr(rule, name)]
    kinds: dict[object, str] = {int: "whole number", float: "number", Path: "path"}
    return ", ".join([kinds.get(field.annotation, "text"), *bounds])


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


if __name__ == "__main__":
    print(table())  # noqa: T201 - the renewed table goes to the terminal
