"""The way to the server: where it is, which token a command uses, and how a call is made.

What always holds: every call carries a bearer token, a request id and a deadline; a broken call becomes `Refused`. A
stored token lives in a file that only its owner can read.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import grpc

from server.ctl.failures import REQUEST_ID_HEADER, BadInput, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT = 30.0
SYSTEM_CA = "system"
_MESSAGE_BYTES = 16 * 1024 * 1024

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


@dataclass(frozen=True, slots=True)
class Config:
    """What a configuration file holds.

    `ca` is a PEM file of the authority behind the server's certificate, `system` for the authorities of this machine, or
    empty for plain text. `path` is the file it came from, None when there is none.
    """

    address: str = ""
    ca: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None


@dataclass(slots=True)
class Options:
    """What was said on the command line or by the environment, before the name of the command."""

    address: str = ""
    profile: str = ""
    token: str = ""
    ca: str = ""
    timeout: float = DEFAULT_TIMEOUT
    json_output: bool = False


def config_paths(environment: Mapping[str, str]) -> list[Path]:
    """The files that are looked for, in this order; the first that exists counts."""
    if environment.get("ANALYTICSCTL_CONFIG"):
        return [Path(environment["ANALYTICSCTL_CONFIG"])]
    data_dir = Path(environment.get("ANALYTICS_DATA_DIR") or ".data")
    return [data_dir / "analyticsctl.json", _home_config(environment)]


def _home_config(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "analyticsctl" / "config.json"


def load_config(environment: Mapping[str, str]) -> Config:
    """Read the first configuration file that exists; an empty `Config` when there is none.

    Raises:
        BadInput: the file cannot be read or is not of the documented form.

    """
    for path in config_paths(environment):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            msg = f"cannot read {path}: {error.strerror}"
            raise BadInput(msg) from error
        except ValueError as error:
            msg = f"{path} is not JSON: {error}"
            raise BadInput(msg) from error
        return _config(content, path)
    return Config()


def _config(content: object, path: Path) -> Config:
    form = '{"address": "host:port", "tokens": {"tenant": "...", "operator": "..."}, "ca": "optional PEM file"}'
    if not isinstance(content, dict):
        msg = f"{path} must hold {form}"
        raise BadInput(msg)
    address, ca, tokens = content.get("address", ""), content.get("ca", ""), content.get("tokens", {})
    if not (isinstance(address, str) and isinstance(ca, str) and isinstance(tokens, dict)):
        msg = f"{path} must hold {form}"
        raise BadInput(msg)
    return Config(address, ca, {str(name): str(token) for name, token in tokens.items()}, path)


def store_token(environment: Mapping[str, str], profile: str, token: str, options: Options) -> Path:
    """Keep a token under a profile's name, in the file in use or else the one in the home folder; returns that file.

    The file is replaced in one step and readable by its owner only.

    Raises:
        BadInput: the file cannot be written.

    """
    config = load_config(environment)
    path = config.path or config_paths(environment)[-1]
    content = {
        "address": options.address or config.address or DEFAULT_ADDRESS,
        "tokens": {**config.tokens, profile: token},
    }
    ca = options.ca or config.ca
    if ca:
        content["ca"] = ca
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with mode 0600 by the library, so the token is never readable by others, not even for a moment.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".analyticsctl-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
        Path(name).replace(path)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise BadInput(msg) from error
    return path


class Connection:
    """A channel and the credential its calls carry."""

    def __init__(self, channel: grpc.Channel, address: str, token: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Use `channel` with `token`; `timeout` is the deadline of a unary call in seconds."""
        self.channel = channel
        self.address = address
        self.timeout = timeout
        self._token = token

    @contextmanager
    def calling(self) -> Iterator[tuple[tuple[str, str], ...]]:
        """The metadata of one call; what goes wrong with the call inside the block becomes `Refused`.

        Raises:
            Refused: the call ended with an error status.
            KeyboardInterrupt: Ctrl-C, also where it met the library between giving a lock up and taking it again.

        """
        request_id = str(uuid.uuid4())
        metadata = ((REQUEST_ID_HEADER, request_id), ("authorization", f"Bearer {self._token}"))
        try:
            yield metadata if self._token else metadata[:1]
        except grpc.RpcError as error:
            raise refused(error, self.address, request_id) from None
        except RuntimeError as error:
            # A `with` that has lost its lock to Ctrl-C fails at its end, and that failure hides what came.
            if _of_ctrl_c(error):
                raise KeyboardInterrupt from None
            raise

    def unary(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        extra_seconds: float = 0.0,
        wait_for_server: bool = False,
    ) -> ResponseT:
        """Make a unary call.

        `extra_seconds` are added to the deadline for a call that waits on purpose; with `wait_for_server` it waits, within
        the deadline, for a server that is not there yet.

        Raises:
            Refused: the call ended with an error status.

        """
        with self.calling() as metadata:
            return method(request, metadata=metadata, timeout=self.timeout + extra_seconds, wait_for_ready=wait_for_server)


class Session:
    """What one run of a command uses; nothing is read or opened before it is needed."""

    def __init__(self, options: Options, environment: Mapping[str, str]) -> None:
        """Keep what was said; `environment` is the process environment."""
        self.options = options
        self.environment = environment

    @property
    def json_output(self) -> bool:
        """Whether the answer goes to a script."""
        return self.options.json_output

    @cached_property
    def config(self) -> Config:
        """The configuration file."""
        return load_config(self.environment)

    @cached_property
    def address(self) -> str:
        """Where the server is, `host:port`."""
        return self.options.address or self.config.address or DEFAULT_ADDRESS

    @cached_property
    def channel(self) -> grpc.Channel:
        """The channel; it connects with the first call."""
        return open_channel(self.address, self.options.ca or self.config.ca)

    @cached_property
    def tenant(self) -> Connection:
        """Calls as the organization's user."""
        return self._connection("tenant")

    @cached_property
    def operator(self) -> Connection:
        """Calls as the platform's operator."""
        return self._connection("operator")

    def with_token(self, token: str) -> Connection:
        """Calls with a given token."""
        return Connection(self.channel, self.address, token, self.options.timeout)

    def close(self) -> None:
        """Close the channel, if there is one."""
        if "channel" in self.__dict__:
            self.channel.close()

    def _connection(self, kind: str) -> Connection:
        token = self.options.token
        if not token:
            profile = self.options.profile or kind
            token = self.config.tokens.get(profile, "")
            if not token:
                looked = ", ".join(str(path) for path in config_paths(self.environment))
                msg = f"no token of profile {profile!r} is stored (looked in {looked})"
                hint = f"store one with `analyticsctl login --profile {profile}`, or give one by --token or ANALYTICSCTL_TOKEN"
                raise BadInput(msg, hint)
        return self.with_token(token)


def open_channel(address: str, ca: str) -> grpc.Channel:
    """A channel to `address`, with TLS when `ca` is given.

    Raises:
        BadInput: the file of the authority cannot be read.

    """
    limits = [
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        # A server that restarts is found again at once; the defaults wait for a second and then for ever longer.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    if not ca:
        return grpc.insecure_channel(address, options=limits)
    try:
        roots = None if ca == SYSTEM_CA else Path(ca).expanduser().read_bytes()
    except OSError as error:
        msg = f"cannot read the certificate authority {ca}: {error.strerror}"
        raise BadInput(msg) from error
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(root_certificates=roots), options=limits)


def _of_ctrl_c(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
