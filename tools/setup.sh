#!/bin/bash
# Sets everything up on a fresh Debian 12 machine; quick when all is there already.
#
# With root it installs the missing Debian packages. Without root, or without clang, it goes on with
# what there is and says at the end what is missing and what that costs: the plain-socket rung needs
# Python, a C compiler and nothing else. WIREMATCH_DPDK=1 also installs what the DPDK port is built
# with (many packages, for every card that DPDK knows: half a minute); WIREMATCH_TESTS=1 what only
# tests need (promtool, a browser without a screen, a booted machine); `make test` asks for both.

set -euo pipefail
cd "$(dirname "$0")/.."

# The system's own: an interpreter under a closed home cannot be run by a matcher's user.
PYTHON=${PYTHON:-/usr/bin/python3}
NEEDED=(python3-venv python3-dev gcc libc6-dev make linux-libc-dev tzdata)
NATIVE=(clang llvm libbpf-dev libelf-dev zlib1g-dev)
TOOLS=(iproute2 ethtool procps util-linux tshark valgrind g++)
ARM=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)   # one test: the scan of another CPU
DPDK=(libdpdk-dev pkg-config)
TESTS=(prometheus chromium-headless-shell fonts-dejavu-core
       mmdebstrap systemd-container systemd)   # the last three: the package in a booted machine
STAMPS=.venv/.stamps
missing=()

say() { printf 'setup: %s\n' "$*"; }

patiently() {  # runs a command that needs the network up to three times, with a pause between
    local turn
    for turn in 1 2; do
        "$@" && return
        say "failed, once more in $((20 * turn)) s: $1 $2 $3 ..." >&2
        sleep $((20 * turn))
    done
    "$@"
}

fetch_packages() {  # installs Debian packages; waits up to ten minutes for another apt to end
    export DEBIAN_FRONTEND=noninteractive
    local patience=(-qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
    patiently apt-get "${patience[@]}" update </dev/null || say "going on with old lists"
    patiently apt-get "${patience[@]}" install -y --no-install-recommends "$@" </dev/null >/dev/null
}

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
    mapfile -t wanted < <(absent "${NEEDED[@]}" "${NATIVE[@]}" "${TOOLS[@]}" "${ARM[@]}")
    [ ${#wanted[@]} -eq 0 ] && return
    if [ "$(id -u)" -eq 0 ]; then
        say "installing ${wanted[*]}"
        fetch_packages "${wanted[@]}"
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
    fetch_packages "${wanted[@]}" ||
        say "no DPDK port: ${wanted[*]} cannot be installed here; all else goes on"
}

tests() {  # of prometheus only promtool is used: its service is not started, nor enabled
    [ "${WIREMATCH_TESTS:-0}" = 1 ] || return 0
    command -v dpkg-query >/dev/null || return 0
    local wanted policy=/usr/sbin/policy-rc.d ours=no
    mapfile -t wanted < <(absent "${TESTS[@]}")
    [ ${#wanted[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        say "some tests will be skipped: run as root: apt-get install ${wanted[*]}"
        return
    fi
    say "installing ${wanted[*]} for the tests"
    if [[ " ${wanted[*]} " == *" prometheus "* ]] && ! [ -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
        ours=yes
    fi
    fetch_packages "${wanted[@]}" ||
        say "some tests will be skipped: ${wanted[*]} cannot be installed here"
    if [ "$ours" = yes ]; then
        rm -f "$policy"
        if [ -d /run/systemd/system ]; then
            systemctl disable --now prometheus >/dev/null 2>&1 || true
        fi
    fi
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
    local install=(.venv/bin/python -m pip install -q --disable-pip-version-check --retries 5
                   --timeout 60)
    patiently "${install[@]}" -e ".[tools,test,picture,package]"
    # Only its sample data is used: the real half hour of orders that the demo replays.
    patiently "${install[@]}" --no-deps "ob-analytics==0.1.0"
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
tests
builds
.venv/bin/wirematch warm --if-needed
if [ ${#missing[@]} -gt 0 ]; then
    say "not installed, because this is not root: ${missing[*]}"
    say "the plain-socket rung works; for AF_XDP run as root: apt-get install ${missing[*]}"
fi
say "ready: .venv/bin/wirematch --help"
