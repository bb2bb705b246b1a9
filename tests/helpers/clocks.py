"""A machine's clock that is wrong, for whatever signs requests for S3 in this process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest


def set_wrong(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """Let boto3 sign as if it were so many minutes later."""

    def off(*, remove_tzinfo: bool = True) -> datetime:
        moment = datetime.now(UTC) + timedelta(minutes=minutes)
        return moment.replace(tzinfo=None) if remove_tzinfo else moment

    monkeypatch.setattr("botocore.auth.get_current_datetime", off)
