"""How the log is written: lines for a journal, or JSON for a platform that reads what containers print."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import orjson

LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}  # as Cloud Logging names them; the others have one name everywhere
FORMATS: dict[str, dict[str, Any]] = {
    "line": {"format": "%(levelname)s %(name)s[%(process)d]: %(message)s"},
    "json": {"()": "inference_api.logs.JsonLines"},
}
STREAMS = {"line": "ext://sys.stderr", "json": "ext://sys.stdout"}


class JsonLines(logging.Formatter):
    """One object a line: `level`, `message`, and what else is known."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        entry = {
            "level": LEVELS.get(record.levelname, record.levelname),
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "logger": record.name,
            "process": record.process,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry).decode()


def configuration(log_format: str) -> dict[str, Any]:
    """For logging.config.dictConfig: everything goes one way."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {log_format: FORMATS[log_format]},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": log_format, "stream": STREAMS[log_format]}},
        "root": {"handlers": ["out"], "level": "INFO"},
        "loggers": {"uvicorn.error": {"level": "INFO"}},
    }
