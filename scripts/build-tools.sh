#!/usr/bin/env bash
# Builds the pinned development tools of a tools module into .cache/tools.
#
#   scripts/build-tools.sh proto   buf and the two code generators (scripts/tools)
#   scripts/build-tools.sh lint    golangci-lint                   (scripts/tools/lint)
#
# A stamp holds the checksum of go.mod and go.sum and the Go version, so a second call costs
# nothing and a changed pin or compiler rebuilds.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out="$root/.cache/tools"

case "${1:-}" in
proto) module="$root/scripts/tools" ;;
lint) module="$root/scripts/tools/lint" ;;
*)
	echo "usage: scripts/build-tools.sh proto|lint" >&2
	exit 2
	;;
esac

stamp="$out/.stamp-$1"
want=$({
	cat "$module/go.mod" "$module/go.sum"
	go env GOVERSION GOOS GOARCH
} | sha256sum)
if [[ -f $stamp && $(<"$stamp") == "$want" ]]; then
	exit 0
fi

echo "building the pinned $1 tools into .cache/tools (once)"
mkdir -p "$out"
# No cgo: the tools need none, and so they build where there is no C compiler.
CGO_ENABLED=0 GOFLAGS='' GOWORK=off go build -C "$module" -trimpath -buildvcs=false -mod=readonly -o "$out/" tool
printf '%s\n' "$want" >"$stamp"
