"""What the service is told by its environment: one variable INFERENCE_API_<FIELD> a field, secrets from files.

Where containers are run for us, their platform says by PORT where to listen, and secrets may be variables too."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

PREFIX = "INFERENCE_API_"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/.*)?|file:///.*")
MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
OBJECT_BATCHES = {"records_flush_seconds": 30.0, "records_batch": 5000}  # each object is a request that is paid for


class ConfigError(Exception):
    """The environment does not describe a service; the message says which variable and why."""


def _names(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    names = tuple(word.strip() for word in value.split(",") if word.strip())
    if not names:
        raise ValueError("names no model: name those that must be there, or leave it out, if any one will do")
    for name in names:
        if not re.fullmatch(MODEL_NAME, name):
            raise ValueError(f"{name!r} is no model's name: 1 to 63 letters, digits, - and _, the first no - or _")
    return names


class Settings(BaseModel):
    """Every setting, checked. Times in seconds, sizes in bytes; limits count for one worker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = "127.0.0.1"
    port: int = Field(8443, ge=1, le=65535)
    workers: int = Field(1, ge=1, le=64)
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_in_front: bool = False
    state_directory: Path = Path("/var/lib/inference-api")
    docs: bool = True
    log_format: Literal["line", "json"] = "line"

    engine: Literal["triton", "onnxruntime"] = "triton"
    models: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    models_refresh_seconds: float = Field(2.0, gt=0)
    models_refresh_on_request: bool = False

    triton_address: str = "127.0.0.1:8001"
    triton_tls: bool = True
    triton_ca_file: Path = SYSTEM_CERTIFICATES
    triton_certificate_file: Path | None = None
    triton_key_file: Path | None = None

    models_url: str = ""
    onnxruntime_versions: int = Field(2, ge=1)
    onnxruntime_rows_limit: int = Field(64, ge=1)
    onnxruntime_calls_limit: int = Field(2, ge=1)
    onnxruntime_threads: int = Field(1, ge=1)

    storage_endpoint: str = Field("", pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+)?$")
    storage_region: str = Field("ru-central1", pattern=r"^[a-z0-9-]+$")
    storage_key_id: str = Field("", pattern=r"^[!-~]*$")
    storage_secret_key: SecretStr | None = None
    storage_secret_key_file: Path | None = None
    storage_ca: str = ""
    storage_ca_file: Path = SYSTEM_CERTIFICATES
    storage_timeout_seconds: float = Field(10.0, gt=0)

    store: Literal["postgresql", "objects"] = "postgresql"
    predictions_url: str = ""
    keys: str = ""
    keys_file: Path | None = None

    database_host: str = "127.0.0.1"
    database_port: int = Field(6432, ge=1, le=65535)
    database_name: str = "inference_api"
    database_user: str = "inference_api"
    database_password_file: Path | None = None
    database_ca_file: Path = SYSTEM_CERTIFICATES
    database_timeout_seconds: float = Field(5.0, gt=0)

    body_limit_bytes: int = Field(1 << 20, ge=1)
    answer_limit_bytes: int = Field(16 << 20, ge=1)
    time_limit_seconds: float = Field(5.0, gt=0)
    in_flight_limit: int = Field(128, ge=1)
    triton_calls_limit: int = Field(2, ge=1)
    merged_rows_limit: int = Field(64, ge=1)
    stop_seconds: int = Field(20, ge=1)

    keys_refresh_seconds: float = Field(5.0, gt=0)
    keys_limit: int = Field(10_000, ge=1)
    records_flush_seconds: float = Field(0.5, gt=0)
    records_batch: int = Field(500, ge=1)
    records_durable: bool = False
    record_output_limit_bytes: int = Field(4096, ge=0)
    spool_limit_bytes: int = Field(64 << 20, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _batches(cls, given: Any) -> Any:
        return {**OBJECT_BATCHES, **given} if given.get("store") == "objects" else given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wrong = [message for check in (_tls, _triton, _models, _store, _storage) if (message := check(self))]
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    @property
    def s3(self) -> bool:
        """Whether anything is kept in a bucket."""
        return any(url.startswith("s3://") for url in self.urls().values())

    def urls(self) -> dict[str, str]:
        """The addresses of objects that are in use, by field."""
        used = {"models_url": self.engine == "onnxruntime", "predictions_url": self.store == "objects"}
        return {name: getattr(self, name) for name, here in used.items() if here}

    def files(self) -> dict[str, Path]:
        """The files that must be readable, by field."""
        unused = [
            prefix
            for prefix, used in (
                ("triton_", self.engine == "triton" and self.triton_tls),
                ("database_", self.store == "postgresql"),
                ("storage_", self.s3),
                ("storage_ca_", not self.storage_ca),
            )
            if not used
        ]
        named = {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_file")}
        return {name: path for name, path in named.items() if path and not name.startswith(tuple(unused))}

    def database_password(self) -> str:
        """The password, without the newline that editors add."""
        assert self.database_password_file is not None, "checked for this store"
        return _line(self.database_password_file, "database_password_file")

    def storage_certificates(self) -> bytes:
        """Who may vouch for the bucket's server, as PEM."""
        return self.storage_ca.encode() or read(self.storage_ca_file, "storage_ca_file")

    def storage_secret(self) -> str:
        """The static key's secret part."""
        if self.storage_secret_key is not None:
            return self.storage_secret_key.get_secret_value()
        assert self.storage_secret_key_file is not None, "checked where a bucket is used"
        return _line(self.storage_secret_key_file, "storage_secret_key_file")


def _tls(settings: Settings) -> str:
    if (settings.tls_certificate_file is None) != (settings.tls_key_file is None):
        return "tls_certificate_file and tls_key_file belong together: set both or none"
    if settings.tls_certificate_file is None and not settings.tls_in_front and not is_loopback(settings.listen):
        return (
            f"listen is {settings.listen}: without tls_certificate_file only a loopback address may be served"
            " (or any, where tls_in_front says that a front ends TLS and nobody else can connect)"
        )
    return ""


def _triton(settings: Settings) -> str:
    if (settings.triton_certificate_file is None) != (settings.triton_key_file is None):
        return "triton_certificate_file and triton_key_file belong together: set both or none"
    if not settings.triton_tls and not is_loopback(settings.triton_address.rpartition(":")[0]):
        return f"triton_tls is off and {settings.triton_address} is not a loopback address: turn TLS on"
    return ""


def _models(settings: Settings) -> str:
    for field, url in settings.urls().items():
        if not ADDRESS.fullmatch(url):
            return f"{PREFIX}{field.upper()}={url!r}: give an address as s3://BUCKET/PREFIX or file:///FOLDER"
    return ""


def _store(settings: Settings) -> str:
    listed = bool(settings.keys) + bool(settings.keys_file)
    if settings.store == "postgresql":
        if settings.database_password_file is None:
            return f"{PREFIX}DATABASE_PASSWORD_FILE: not set, and there is no default"
        return "keys and keys_file are for store=objects: PostgreSQL holds the keys here" if listed else ""
    return "" if listed == 1 else "store=objects has no database of keys: set either keys or keys_file"


def _storage(settings: Settings) -> str:
    endpoint = urlsplit(settings.storage_endpoint)
    if settings.storage_endpoint and endpoint.scheme != "https" and not is_loopback(endpoint.hostname or ""):
        return f"storage_endpoint is {settings.storage_endpoint}: only a loopback address may do without https://"
    secrets = (settings.storage_secret_key is not None) + (settings.storage_secret_key_file is not None)
    if settings.s3 and (not settings.storage_key_id or secrets != 1):
        return "a bucket needs storage_key_id, and either storage_secret_key or storage_secret_key_file"
    return ""


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


def _line(path: Path, field: str) -> str:
    return read(path, field).decode().rstrip("\r\n")


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment. ConfigError lists everything that is wrong, one line each."""
    given = {name[len(PREFIX) :].lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    if platform_port := environment.get("PORT"):
        given.setdefault("port", platform_port)
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
