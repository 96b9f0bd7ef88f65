#!/usr/bin/env bash
# Makes sure that OpenCL kernels run on this machine, if only on its processor: says nothing when a driver is there,
# otherwise installs PoCL and the loader from the distribution's packages. Tests measure with it.
#
# Safe to call any number of times. It removes no package and touches no driver of a card.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# The daemon's folder, where ldconfig is, is missing from an ordinary user's PATH on Debian.
PATH="$PATH:/usr/sbin:/sbin"

readonly packages=(pocl-opencl-icd ocl-icd-libopencl1)
readonly library=libOpenCL.so.1
readonly install_log=build/opencl-install.log

say() { echo "opencl: $*"; }

fail() {
	local line
	for line in "$@"; do
		echo "opencl: $line" >&2
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

# present is true when the loader is there and PoCL is registered with it.
present() {
	[[ -f /etc/OpenCL/vendors/pocl.icd ]] && ldconfig -p | grep -F "$library" >/dev/null
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

if present; then
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	fail "no PoCL here, and no apt-get to install it with" \
		"install PoCL and an OpenCL loader from your distribution's packages (such as pocl and ocl-icd), then try again"
fi
mkdir -p build
say "installing ${packages[*]} from the distribution's packages"
install "${packages[@]}"
if ! present; then
	fail "the packages were installed, but $library or PoCL is still missing; see $install_log"
fi
