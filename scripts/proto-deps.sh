#!/usr/bin/env bash
# Copies the .proto files that ours import out of the Go module cache into .cache/proto-deps, at the
# very versions go.mod pins, so that buf works with no schema registry and no network of its own.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out="$root/.cache/proto-deps"

# module_dir prints the folder of a module in the cache, downloading it first if needed.
module_dir() {
	go mod download -C "$2" "$1" >&2
	go list -C "$2" -mod=readonly -m -f '{{.Dir}}' "$1"
}

# copy_protos copies the .proto files below $1 to $2, folders kept, and nothing else: a stray buf.yaml
# would make buf take the copy for another workspace.
copy_protos() {
	mkdir -p "$2"
	(cd "$1" && find . -name '*.proto' -type f -print0 | tar --null -T - -cf -) | tar -C "$2" -xf - --no-same-owner
	chmod -R u+w "$2"
}

stamp="$out/.stamp"
want=$(cat "$root/go.mod" "$root/scripts/tools/go.mod" "${BASH_SOURCE[0]}" | sha256sum)
if [[ -f $stamp && $(<"$stamp") == "$want" ]]; then
	exit 0
fi

sdk=$(module_dir github.com/cosmos/cosmos-sdk "$root")
cosmos_proto=$(module_dir github.com/cosmos/cosmos-proto "$root")
gogoproto=$(module_dir github.com/cosmos/gogoproto "$root")
# The googleapis copy ships only in the v1 gateway, whose generator the tools module pins.
gateway=$(module_dir github.com/grpc-ecosystem/grpc-gateway "$root/scripts/tools")

rm -rf "$out"
copy_protos "$sdk/proto" "$out/cosmos-sdk"
copy_protos "$cosmos_proto/proto" "$out/cosmos-proto"
copy_protos "$gogoproto/gogoproto" "$out/gogoproto/gogoproto"
copy_protos "$gateway/third_party/googleapis/google" "$out/googleapis/google"
printf '%s\n' "$want" >"$stamp"
