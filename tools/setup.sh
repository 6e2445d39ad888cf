#!/bin/bash
# Sets everything up on a fresh Debian 12 machine; quick when all is there already.
#
# With root it installs the missing Debian packages. Without root, or without clang, it goes on with
# what there is and says at the end what is missing and what that costs: the plain-socket rung needs
# Python, a C compiler and nothing else. WIREMATCH_DPDK=1 also installs what the DPDK port is built
# with (many packages, for every card that DPDK knows: half a minute), WIREMATCH_TESTS=1 what only
# tests need; `make test` asks for both.

set -euo pipefail
cd "$(dirname "$0")/.."

# The system's own: an interpreter under a closed home cannot be run by a matcher's user.
PYTHON=${PYTHON:-/usr/bin/python3}
NEEDED=(python3-venv python3-dev gcc libc6-dev make linux-libc-dev tzdata)
NATIVE=(clang llvm libbpf-dev libelf-dev zlib1g-dev)
TOOLS=(iproute2 ethtool procps util-linux tshark valgrind g++)
ARM=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)   # one test: the scan of another CPU
DPDK=(libdpdk-dev pkg-config)
TESTS=(mmdebstrap systemd-container systemd)   # the package in a booted Debian machine
STAMPS=.venv/.stamps
missing=()

say() { printf 'setup: %s\n' "$*"; }

absent() {  # those of the named packages that are not installed
    local package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            echo "$package"
    done
}

packages() {
    if ! command -v dpkg-query >/dev/null; then
        say "no Debian packages here; needed are the likes of:"
        say "${NEEDED[*]} ${NATIVE[*]} ${TOOLS[*]}"
        return
    fi
    local wanted
    local tests=()
    [ "${WIREMATCH_TESTS:-0}" = 1 ] && tests=("${TESTS[@]}")
    mapfile -t wanted < <(absent "${NEEDED[@]}" "${NATIVE[@]}" "${TOOLS[@]}" "${ARM[@]}" \
                                 "${tests[@]}")
    [ ${#wanted[@]} -eq 0 ] && return
    if [ "$(id -u)" -eq 0 ]; then
        say "installing ${wanted[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq </dev/null
        apt-get install -y -qq --no-install-recommends "${wanted[@]}" </dev/null >/dev/null
    else
        missing=("${wanted[@]}")
    fi
}

dpdk() {
    [ "${WIREMATCH_DPDK:-0}" = 1 ] || return 0
    command -v dpkg-query >/dev/null || return 0
    local wanted
    mapfile -t wanted < <(absent "${DPDK[@]}")
    [ ${#wanted[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        say "no DPDK port: run as root: apt-get install ${wanted[*]}"
        return
    fi
    say "installing ${wanted[*]} for the DPDK port"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq </dev/null &&
        apt-get install -y -qq --no-install-recommends "${wanted[@]}" </dev/null >/dev/null; } ||
        say "no DPDK port: ${wanted[*]} cannot be installed here; all else goes on"
}

done_before() {  # name, fingerprint: true when this step was finished with this fingerprint
    [ -f "$STAMPS/$1" ] && [ "$(cat "$STAMPS/$1")" = "$2" ]
}

environment() {
    if ! [ -x .venv/bin/python ]; then
        say "making the virtual environment .venv with $("$PYTHON" --version)"
        "$PYTHON" -m venv .venv || {
            say "no virtual environment: install ${missing[*]:-python3-venv}"; exit 77; }
    fi
    mkdir -p "$STAMPS"
    local print
    print=$(sha256sum pyproject.toml | cut -d' ' -f1)
    done_before packages "$print" && [ -x .venv/bin/wirematch ] && return
    say "installing the Python packages"
    .venv/bin/python -m pip install -q --disable-pip-version-check \
        -e ".[tools,test,picture,package]"
    # Only its sample data is used: the real half hour of orders that the demo replays.
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps "ob-analytics==0.1.0"
    echo "$print" > "$STAMPS/packages"
}

builds() {
    .venv/bin/python native/build.py --if-stale
    if command -v clang >/dev/null; then
        make -s -C bpf
    else
        say "no clang: the XDP program is not built, so only --mode socket works"
    fi
    .venv/bin/python -m tools.gen --check
}

packages
dpdk &
environment
wait $!
builds
.venv/bin/wirematch warm --if-needed
if [ ${#missing[@]} -gt 0 ]; then
    say "not installed, because this is not root: ${missing[*]}"
    say "the plain-socket rung works; for AF_XDP run as root: apt-get install ${missing[*]}"
fi
say "ready: .venv/bin/wirematch --help"
