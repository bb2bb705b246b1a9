"""`python -m stagecraft.answers`: does what serves answer predictions? What a playbook asks once it has deployed.

One JSON object on standard input says what to ask (`Asked`), so that the key is on no command line."""

from __future__ import annotations

import json
import ssl
import sys
import time
from dataclasses import dataclass, field

import httpx

BETWEEN_ROUNDS, BETWEEN_TRIES = 0.5, 2.0  # seconds
ONE_ANSWER = 30  # seconds; a container's own limit
SHOWN = 300  # characters of an answer


@dataclass(frozen=True)
class Asked:
    """Whom to ask for what, and when to believe it."""

    url: str
    key: str = field(repr=False)
    models: list[str]
    inputs: list[object]
    in_a_row: int  # answers of each model with no refusal between: whoever served before may have given the first
    wait: float  # seconds in which to begin another round
    ca: str = ""  # a file with who vouches for the URL, where that is nobody whom this machine trusts


class NoAnswerError(Exception):
    """It does not answer; the message says how often it was asked, and what came last."""


def ask(asked: Asked) -> int:
    """Ask each model in turn until all have answered so many times in a row; how many requests that took.

    Raises NoAnswerError where they have not in time, OSError where the file `ca` is none."""
    started, tries, good, last = time.monotonic(), 0, 0, ""
    verify = ssl.create_default_context(cafile=asked.ca or None)
    with httpx.Client(verify=verify, timeout=ONE_ANSWER, headers={"X-API-Key": asked.key}) as client:
        while True:
            for model in asked.models:
                tries += 1
                if refusal := _refusal(client, f"{asked.url}/v1/predict/{model}", asked.inputs):
                    good, last = 0, f"of {model} was {refusal}"
                    break
            else:
                good += 1
                if good == asked.in_a_row:
                    return tries
            pause = BETWEEN_ROUNDS if good else BETWEEN_TRIES
            if time.monotonic() + pause - started > asked.wait and not good:
                spent = time.monotonic() - started
                raise NoAnswerError(f"asked for predictions {tries} times in {spent:.0f} s, the last answer {last}")
            time.sleep(pause)


def _refusal(client: httpx.Client, url: str, inputs: list[object]) -> str:
    """What came instead of a prediction; nothing where one came."""
    try:
        answer = client.post(url, json={"inputs": inputs}, headers={"Connection": "close"})  # as a new client's
    except (httpx.HTTPError, OSError) as error:
        return f"none: {error or type(error).__name__}"
    if answer.status_code == httpx.codes.OK and "outputs" in answer.text:
        return ""
    return f"{answer.status_code} {answer.text[:SHOWN]}".strip()


if __name__ == "__main__":
    try:
        print(ask(Asked(**json.load(sys.stdin))))
    except (NoAnswerError, OSError) as error:  # the latter of the file with who vouches
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
