"""What the service is told by its environment: one variable INFERENCE_API_<FIELD> a field, secrets from files."""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

PREFIX = "INFERENCE_API_"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class ConfigError(Exception):
    """The environment does not describe a service; the message says which variable and why."""


def _words(value: Any) -> Any:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


class Settings(BaseModel):
    """Every setting, checked. Times in seconds, sizes in bytes; limits count for one worker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = "127.0.0.1"
    port: int = Field(8443, ge=1, le=65535)
    workers: int = Field(1, ge=1, le=64)
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    state_directory: Path = Path("/var/lib/inference-api")
    docs: bool = True

    triton_address: str = "127.0.0.1:8001"
    triton_tls: bool = True
    triton_ca_file: Path = SYSTEM_CERTIFICATES
    triton_certificate_file: Path | None = None
    triton_key_file: Path | None = None
    models: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    models_refresh_seconds: float = Field(2.0, gt=0)

    database_host: str = "127.0.0.1"
    database_port: int = Field(6432, ge=1, le=65535)
    database_name: str = "inference_api"
    database_user: str = "inference_api"
    database_password_file: Path
    database_ca_file: Path = SYSTEM_CERTIFICATES
    database_timeout_seconds: float = Field(5.0, gt=0)

    body_limit_bytes: int = Field(1 << 20, ge=1)
    time_limit_seconds: float = Field(5.0, gt=0)
    in_flight_limit: int = Field(128, ge=1)
    triton_calls_limit: int = Field(2, ge=1)
    merged_rows_limit: int = Field(64, ge=1)
    stop_seconds: int = Field(20, ge=1)

    keys_refresh_seconds: float = Field(5.0, gt=0)
    keys_limit: int = Field(10_000, ge=1)
    records_flush_seconds: float = Field(0.5, gt=0)
    records_batch: int = Field(500, ge=1)
    record_output_limit_bytes: int = Field(4096, ge=0)
    spool_limit_bytes: int = Field(64 << 20, ge=0)

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file belong together: set both or none")
        if (self.triton_certificate_file is None) != (self.triton_key_file is None):
            raise ValueError("triton_certificate_file and triton_key_file belong together: set both or none")
        if self.tls_certificate_file is None and not is_loopback(self.listen):
            raise ValueError(
                f"listen is {self.listen}: without tls_certificate_file only a loopback address may be served"
            )
        if not self.triton_tls and not is_loopback(self.triton_address.rpartition(":")[0]):
            raise ValueError(f"triton_tls is off and {self.triton_address} is not a loopback address: turn TLS on")
        return self

    def files(self) -> dict[str, Path]:
        """The files that must be readable, by field."""
        named = {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_file")}
        if not self.triton_tls:
            named = {name: path for name, path in named.items() if not name.startswith("triton_")}
        return {name: path for name, path in named.items() if path is not None}

    def database_password(self) -> str:
        """The password, without the newline that editors add."""
        return read(self.database_password_file, "database_password_file").decode().rstrip("\r\n")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read(path: Path, field: str) -> bytes:
    """The file's bytes; ConfigError names the variable that led there."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{PREFIX}{field.upper()}={path}: {error.strerror}") from error


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment. ConfigError lists everything that is wrong, one line each."""
    given = {name[len(PREFIX) :].lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(item) for item in error.errors())) from error


def _explain(item: Any) -> str:
    field = str(item["loc"][0]) if item["loc"] else ""
    variable = PREFIX + field.upper()
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, Settings.model_fields, n=1)
        hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
        return f"{variable}: there is no such setting{hint}"
    if item["type"] == "missing":
        return f"{variable}: not set, and there is no default"
    reason = item["msg"].removeprefix("Value error, ")
    return f"{variable}: {reason}" if field else reason
