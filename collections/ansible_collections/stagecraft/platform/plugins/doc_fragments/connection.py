"""Where the cloud is and who we are there: the same options everywhere, said once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  endpoint:
    description: Address of the API, C(host:port). Default is E(YC_ENDPOINT), else Yandex Cloud's own.
    type: str
  root_certificates:
    description: File with the certificates that the API's is checked against. Default is E(YC_ROOT_CERTIFICATES).
    type: path
  service_account_key_file:
    description: File with an authorized key of a service account. Default is E(YC_SERVICE_ACCOUNT_KEY_FILE).
    type: path
  iam_token:
    description: An IAM token. Default is E(YC_IAM_TOKEN).
    type: str
  token:
    description: An OAuth token of a person. Default is E(YC_TOKEN).
    type: str
  auth:
    description: Which credentials to use; C(auto) takes those that are set, and says so where that is not clear.
    type: str
    choices: [auto, service_account_key_file, iam_token, token, metadata]
    default: auto
  folder:
    description: ID of the folder. Default is E(YC_FOLDER_ID).
    type: str
  operation_timeout:
    description: How many seconds to wait for one operation of the cloud.
    type: int
    default: 1800
  retry_time:
    description: How many seconds to try again when the API does not answer or asks for patience.
    type: int
    default: 60
notes:
  - Without any credentials the metadata service is asked, as on a virtual machine with a service account.
"""
