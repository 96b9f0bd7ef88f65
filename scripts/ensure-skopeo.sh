#!/usr/bin/env bash
# Makes sure that skopeo is on this machine: says nothing when it is there, otherwise installs the distribution's package.
# Tests read the worker's registry with it.
#
# Safe to call any number of times. It removes no package.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

readonly package=skopeo
readonly install_log=build/skopeo-install.log

say() { echo "skopeo: $*"; }

fail() {
	local line
	for line in "$@"; do
		echo "skopeo: $line" >&2
	done
	exit 1
}

# as_root runs a command as root, through sudo for anybody else.
as_root() {
	if [[ $(id -u) == 0 ]]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		fail "this needs root, and there is no sudo: run '$*' as root, then try again"
	fi
}

install() {
	local status=0
	{
		as_root apt-get update &&
			as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-remove \
				--no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
	} </dev/null >"$install_log" 2>&1 || status=$?
	hash -r
	if ((status != 0)); then
		tail -n 15 "$install_log" >&2
		fail "installing $* failed; the lines above are the end of $install_log"
	fi
}

if command -v "$package" >/dev/null; then
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	fail "no skopeo here, and no apt-get to install it with" \
		"install skopeo from your distribution's packages, then try again"
fi
mkdir -p build
say "installing $package from the distribution's packages"
install "$package"
if ! command -v "$package" >/dev/null; then
	fail "the package was installed, but skopeo is still missing; see $install_log"
fi
