#!/usr/bin/python
"""Documentation of an action plugin: the work is done on the controller, by plugins/action/lockbox_keys.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lockbox_keys
short_description: Keep a stage's keys and certificates in Lockbox
description:
  - Makes SSH keys, certificate authorities, certificates and API keys once, and keeps each as a secret of Lockbox, whose
    entries are C(private_key) and C(public_key) or C(certificate), or C(api_key).
  - A certificate is renewed when a third of its life is left, when its names change, and when another authority signs.
  - Private keys exist in memory and in the secret store only; what is returned is public.
  - Runs on the controller, whatever the host of the task is.
author: [Stagecraft]
extends_documentation_fragment: [stagecraft.platform.connection]
options:
  keys:
    description:
      - Keys by the name of their secret. Each has a C(kind), C(ssh), C(ca), C(certificate) or C(api_key).
      - A C(ca) may have a C(common_name). A C(certificate) has a C(ca), the name of a key of that kind, and C(names), DNS
        names or addresses, the first of which is its common name. An C(api_key) may have a C(grace), the time that its old
        value is good after a rotation (C(24h) where nothing is said).
    type: dict
    required: true
  rotate:
    description:
      - Names of keys to rotate by one step.
      - A certificate and an API key are new in one step. The old API key stays as C(previous_api_key), good until
        C(previous_until).
      - An SSH key and an authority take three, so that nobody is locked out between them. First the new pair is trusted
        beside the old one (C(next_private_key) and so on); then it is used and the old one is still trusted
        (C(previous_public_key) or C(previous_certificate)); then the old one is trusted no longer. Apply what trusts them
        after each step.
    type: list
    elements: str
    default: []
  stage:
    description: Value of the label C(stagecraft-stage) of the secrets.
    type: str
  app:
    description: Value of the label C(stagecraft-app) of the secrets.
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Keys and certificates
  stagecraft.platform.lockbox_keys:
    keys:
      ssh: {kind: ssh}
      ca: {kind: ca, common_name: Partners CA}
      tls-edge-1: {kind: certificate, ca: ca, names: [edge-1.partners.internal, api.partners.example.com]}
"""

RETURN = r"""
public:
  description:
    - The public key or the certificate of each key, by its name.
    - Of an API key a list of hashes, the SHA-256 of the one in use first; then that of the old one, with its end.
  type: dict
  returned: success
trusted:
  description: The public keys or certificates that others have to trust, by name; more than one while it is rotated.
  type: dict
  returned: success
results:
  description: The secrets that get a new version, as M(stagecraft.platform.yc_stack) returns them, with C(why).
  type: list
  elements: dict
  returned: success
rotating:
  description: The names of the keys whose rotation has begun and wants another step.
  type: list
  elements: str
  returned: success
"""
