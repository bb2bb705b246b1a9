#!/usr/bin/env bash
# Builds .venv (default), or installs the system packages of a rehearsal (--system). Says what it does before it does it.
set -euo pipefail
cd "$(dirname "$0")/.."

# What a rehearsal and the tests need of the system.
packages=(podman runc netavark aardvark-dns uidmap mmdebstrap nftables iproute2 iptables openssh-client apt-cacher-ng
          postgresql postgresql-client docker-registry skopeo git rsync graphviz)

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "root is needed for: $*. Run it as root, or install sudo."
    fi
}

system() {
    command -v dpkg-query >/dev/null || die "a rehearsal runs on Debian or Ubuntu: dpkg is not here."
    local missing=()
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "A rehearsal needs these Debian packages, which are installed now: ${missing[*]}"
    # Only their programs are wanted: no service of theirs may start on this machine.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update | sed 's/^/  /'
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}" |
        grep -E '^(Need to get|Fetched|Setting up)' | sed 's/^/  /'
    say "Installed."
}

recent() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in python3.14 python3.13 python3.12 python3 "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python3; do
        if command -v "$candidate" >/dev/null && recent "$candidate"; then command -v "$candidate"; return; fi
    done
    if command -v uv >/dev/null && uv python install --quiet 3.12 >/dev/null 2>&1; then uv python find 3.12; return; fi
    die "Python 3.12 or newer (with venv) was not found: not on PATH, not under ~/.pyenv/versions, and uv could not fetch one." \
        "Install it (for example python3.12-venv, pyenv, or uv: 'pipx install uv'), then run the same again."
}

environment() {
    local python
    python=$(find_python)
    say "Building .venv with $("$python" --version) from requirements.lock"
    rm -rf .venv
    "$python" -m venv .venv
    # uv installs the rest in seconds; it is itself checked against the lock file.
    awk '/^uv==/{p=1} p{print} p&&!/\\$/{exit}' requirements.lock > .venv/uv.lock
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.lock
    .venv/bin/uv pip install -q --python .venv/bin/python --require-hashes -r requirements.lock
    .venv/bin/uv pip install -q --python .venv/bin/python --no-deps --editable .
    touch .venv/.ready
}

case "${1:-}" in
    --system) system ;;
    "") environment ;;
    *) die "usage: scripts/bootstrap.sh [--system]" ;;
esac
