"""Where the cloud is and who we are there: the options of everything that talks to it, said here and nowhere else."""

from __future__ import annotations

from typing import Any

METHODS = ("service_account_key_file", "iam_token", "token", "metadata")

# option -> its entry in an argument spec, with `env`, the variable behind it, and what it means
OPTIONS: dict[str, dict[str, Any]] = {
    "endpoint": {
        "type": "str",
        "env": "YC_ENDPOINT",
        "description": "Address of the API, C(host:port). Default is E(YC_ENDPOINT), else Yandex Cloud's own.",
    },
    "root_certificates": {
        "type": "path",
        "env": "YC_ROOT_CERTIFICATES",
        "description": "File with the certificates that the API's is checked against. Default is E(YC_ROOT_CERTIFICATES).",
    },
    "service_account_key_file": {
        "type": "path",
        "no_log": False,
        "env": "YC_SERVICE_ACCOUNT_KEY_FILE",
        "description": "File with an authorized key of a service account. Default is E(YC_SERVICE_ACCOUNT_KEY_FILE).",
    },
    "iam_token": {
        "type": "str",
        "no_log": True,
        "env": "YC_IAM_TOKEN",
        "description": "An IAM token. Default is E(YC_IAM_TOKEN).",
    },
    "token": {
        "type": "str",
        "no_log": True,
        "env": "YC_TOKEN",
        "description": "An OAuth token of a person. Default is E(YC_TOKEN).",
    },
    "auth": {
        "type": "str",
        "choices": ["auto", *METHODS],
        "default": "auto",
        "description": "Which credentials to use; C(auto) takes those that are set, and says so where that is not clear.",
    },
    "folder": {
        "type": "str",
        "env": "YC_FOLDER_ID",
        "description": "ID of the folder. Default is E(YC_FOLDER_ID).",
    },
    "operation_timeout": {
        "type": "int",
        "default": 1800,
        "description": "How many seconds to wait for one operation of the cloud.",
    },
    "retry_time": {
        "type": "int",
        "default": 60,
        "description": "How many seconds to try again when the API does not answer or asks for patience.",
    },
}
NOTE = "Without any credentials the metadata service is asked, as on a virtual machine with a service account."
VARIABLES = {name: option["env"] for name, option in OPTIONS.items() if "env" in option}
SECRET = tuple(name for name, option in OPTIONS.items() if option.get("no_log"))


def argument_spec() -> dict[str, dict[str, Any]]:
    """The options as Ansible's argument specs have them."""
    return {name: {k: v for k, v in o.items() if k not in ("env", "description")} for name, o in OPTIONS.items()}


def documentation() -> dict[str, Any]:
    """The options as a documentation fragment has them."""
    told = ("description", "type", "choices", "default")
    return {
        "options": {name: {k: o[k] for k in told if k in o} for name, o in OPTIONS.items()},
        "notes": [NOTE],
    }
