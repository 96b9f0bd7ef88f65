#!/usr/bin/env bash
# Works on the schema in proto/ with the pinned tools and no schema registry.
#
#   scripts/proto.sh generate   writes x/<module>/types/*.pb.go and *.pb.gw.go, removing stale ones
#   scripts/proto.sh check      fails with a diff if that code is stale or a .proto is not formatted
#   scripts/proto.sh lint       checks names, comments and layout of the .proto files
#   scripts/proto.sh format     rewrites the .proto files in buf's format
#   scripts/proto.sh breaking REF   reports what would break users of the schema at a git commit
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
mkdir -p .cache
# A folder of this run's own, so that two runs at once do not mix.
gen=$(mktemp -d "$root/.cache/proto-gen.XXXXXX")
trap 'rm -rf "$gen"' EXIT
module=$(go list -m -f '{{.Path}}')

# run_buf runs the pinned buf with its plugins in reach and its cache inside the tree.
run_buf() {
	PATH="$root/.cache/tools:$PATH" BUF_CACHE_DIR="$root/.cache/buf" "$root/.cache/tools/buf" "$@"
}

# generate_into_cache leaves the generated tree, laid out as the repository is, in $gen/$module.
generate_into_cache() {
	mkdir -p "$gen/$module"
	run_buf generate --output "$gen"
	# Code of any other go_package would be lost without a word.
	local foreign
	foreign=$(find "$gen" -type f ! -path "$gen/$module/x/*")
	if [[ -n $foreign ]]; then
		printf 'go_package outside %s/x, generated:\n%s\n' "$module" "$foreign" >&2
		return 1
	fi
}

# list_generated prints the generated files of the modules below folder $1, relative to it and sorted.
list_generated() {
	(cd "$1" && mkdir -p x && find x -type f \( -name '*.pb.go' -o -name '*.pb.gw.go' \) \
		-print | LC_ALL=C sort)
}

generate() {
	generate_into_cache
	comm -23 <(list_generated "$root") <(list_generated "$gen/$module") | while read -r stale; do
		echo "removing $stale: no .proto generates it any more"
		rm -f "$stale"
	done
	# Only files that change are written, so that the Go build cache stays warm.
	list_generated "$gen/$module" | while read -r file; do
		if ! cmp -s "$gen/$module/$file" "$file"; then
			mkdir -p "$(dirname "$file")"
			cp "$gen/$module/$file" "$file"
			echo "wrote $file"
		fi
	done
}

check() {
	local failed=0 have want
	generate_into_cache
	have=$(list_generated "$root")
	want=$(list_generated "$gen/$module")
	if ! diff -u --label 'in the tree' --label 'generated' <(echo "$have") <(echo "$want"); then
		failed=1
	fi
	for file in $want; do
		if [[ -f $file ]] && ! diff -u --label "$file" --label "$file (generated)" "$file" "$gen/$module/$file" | head -40; then
			failed=1
		fi
	done
	if ((failed)); then
		echo "generated code is stale: run 'make proto' and commit the result" >&2
	fi
	local unformatted
	if ! unformatted=$(run_buf format --diff --exit-code proto); then
		grep '^+++ ' <<<"$unformatted" | cut -d' ' -f2 | cut -f1 >&2
		echo "the .proto files above are not formatted: run 'make proto-format' and commit the result" >&2
		failed=1
	fi
	return "$failed"
}

# check_breaking compares with the schema of a commit. That commit's tree has no copied protos, so its
# workspace is put together from its proto folder and today's copies.
check_breaking() {
	git archive "$1" -- proto buf.yaml | tar -x -C "$gen"
	mkdir -p "$gen/.cache"
	ln -s "$root/.cache/proto-deps" "$gen/.cache/proto-deps"
	run_buf breaking proto --against "$gen/proto"
}

scripts/build-tools.sh proto
scripts/proto-deps.sh

case "${1:-}" in
generate) generate ;;
check) check ;;
lint) run_buf lint proto ;;
format) run_buf format --write proto ;;
breaking) check_breaking "${2:?name a git commit to compare with}" ;;
*)
	echo "usage: scripts/proto.sh generate|check|lint|format|breaking REF" >&2
	exit 2
	;;
esac
