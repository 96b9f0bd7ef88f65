#!/usr/bin/env bash
# Compares what `isun-worker bench` measures with what public tools find on the same machine, and writes a table to
# build/bench/compare.md. Both take turns, COMPARE_RUNS times each; the table has the medians. Where a tool tells a mean,
# ours is what was delivered; where it tells its best, ours is the capability.
#
#   scripts/compare-bench.sh [cpu] [memory] [disk] [network] [opencl]     all of them when none is named
#
#   COMPARE_RUNS=3       how often each is run
#   COMPARE_SECONDS=10   how long each takes, about
#   COMPARE_DIR=build    the folder whose disk is measured
#   ISUN_WORKER=build/isun-worker
#   KEEP_TOOLS=1         leave installed what was not there before
#
# Needs root (or sudo) to install the tools and to make network namespaces. It leaves nothing behind but the table, and PoCL
# where scripts/ensure-opencl.sh had to install it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
PATH="$PATH:/usr/sbin:/sbin"

runs=${COMPARE_RUNS:-3}
seconds=${COMPARE_SECONDS:-10}
worker=$(realpath "${ISUN_WORKER:-build/isun-worker}")
read -ra sections <<<"${*:-cpu memory disk network opencl}"
mkdir -p build/bench "${COMPARE_DIR:-build}"
work=$(mktemp -d "$(realpath "${COMPARE_DIR:-build}")/compare.XXXXXX")
namespaces=("isun-compare-a-$$" "isun-compare-b-$$")
installed=()
servers=()

say() { echo "compare: $*" >&2; }
fail() {
	say "$*"
	exit 1
}

as_root() {
	if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

cleanup() {
	local status=$?
	trap - EXIT
	end_servers
	for namespace in "${namespaces[@]}"; do
		as_root ip netns delete "$namespace" 2>/dev/null || true
	done
	rm -rf "$work"
	if ((${#installed[@]})) && [[ ${KEEP_TOOLS:-} != 1 ]]; then
		say "removing what was installed (KEEP_TOOLS=1 keeps it)"
		apt_get purge -y "${installed[@]}" >/dev/null || say "could not remove: ${installed[*]}"
	fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@" </dev/null; }

# need installs the packages of commands that are missing, and notes all that came with them.
need() {
	local missing=()
	for package in "$@"; do
		command -v "$package" >/dev/null || missing+=("$package")
	done
	((${#missing[@]})) || return 0
	say "installing ${missing[*]}"
	apt_get update >"$work/apt.log" 2>&1 || fail "apt-get update: $(tail -n 3 "$work/apt.log")"
	local added
	added=$(apt_get install -s --no-remove --no-install-recommends "${missing[@]}" | awk '$1 == "Inst" && $3 !~ /^\[/ {print $2}')
	apt_get install -y --no-remove --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 ||
		fail "apt-get install: $(tail -n 3 "$work/apt.log")"
	mapfile -t -O "${#installed[@]}" installed <<<"$added"
	hash -r
}

# --- figures -----------------------------------------------------------------

# put NAME ours|theirs FIGURE notes one run.
put() {
	[[ $3 =~ ^[0-9.]+(e[-+]?[0-9]+)?$ ]] || fail "$1: no figure of $2: '$3'"
	echo "$3" >>"$work/$1.$2"
}

median() { sort -g "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

# spread is how far the runs lie apart, over their median.
spread() { sort -g "$1" | awk '{v[NR] = $1} END {m = v[int((NR + 1) / 2)]; printf "%.0f %%", m ? 100 * (v[NR] - v[1]) / m : 0}'; }

rows=()

# row NAME WORDS UNIT TOOL adds a line to the table.
row() {
	local ours theirs line
	ours=$(median "$work/$1.ours") theirs=$(median "$work/$1.theirs")
	line=$(awk -v words="$2" -v unit="$3" -v tool="$4" -v a="$ours" -v b="$theirs" \
		-v sa="$(spread "$work/$1.ours")" -v sb="$(spread "$work/$1.theirs")" \
		'function f(x) { return x >= 100 ? sprintf("%.0f", x) : sprintf("%.3g", x) }
		BEGIN { printf "| %s | %s | %s | %s | %s | %s | %s | %.2f |", words, unit, f(a), sa, tool, f(b), sb, a / b }')
	rows+=("$line")
	echo "$line" >&2
}

# bench OUT FLAG… runs ours, with what "through" holds in front: the report goes to a file.
through=()
bench() {
	local out=$1
	shift
	"${through[@]}" "$worker" bench --home "$work/home" --output json --measure "${seconds}s" "$@" >"$out" 2>"$work/bench.log" ||
		fail "isun-worker bench $*: $(tail -n 3 "$work/bench.log")"
}

# figure FILE NAME value|delivered reads a measurement of a report.
figure() { jq -r --arg name "$2" --arg of "$3" 'first(.. | objects | select(.name? == $name and has($of)))[$of]' "$1"; }

each_run() {
	local run
	for ((run = 1; run <= runs; run++)); do
		say "$1, run $run of $runs"
		"$1"
	done
}

# --- processor ---------------------------------------------------------------

# The processors this shell may run on, one a line.
processors() {
	taskset -pc $$ | sed 's/.*: //' | tr ',' '\n' | awk -F- '{for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i}'
}

sysbench_events() {
	taskset -c "$1" sysbench cpu --threads="$2" --time="$seconds" run | awk '/events per second/ {print $NF}'
}

cpu() {
	local two=${cpus[0]},${cpus[1]} one theirs part
	theirs=$(sysbench_events "$two" 2)
	one=$(sysbench_events "${cpus[0]}" 1)
	theirs=$(awk -v a="$theirs" -v b="$one" 'BEGIN {print a / b}')
	through=(taskset -c "$two")
	bench "$work/two.json" --only cpu
	through=(taskset -c "${cpus[0]}")
	bench "$work/one.json" --only cpu
	through=()
	for part in integer float compression; do
		put "cpu_$part" theirs "$theirs"
		put "cpu_$part" ours "$(awk -v a="$(figure "$work/two.json" "cpu.$part" delivered)" \
			-v b="$(figure "$work/one.json" "cpu.$part" delivered)" 'BEGIN {print a / b}')"
	done
}

compare_cpu() {
	mapfile -t cpus < <(processors)
	if ((${#cpus[@]} < 2)); then
		say "cpu: one processor has nothing to scale to"
		return
	fi
	need sysbench
	each_run cpu
	for part in integer float compression; do
		row "cpu_$part" "processor, two threads over one: $part" ratio "sysbench cpu"
	done
}

# --- memory ------------------------------------------------------------------

memory() {
	local kind
	OMP_NUM_THREADS=$(nproc) "$work/stream" >"$work/stream.txt"
	bench "$work/memory.json" --only memory
	for kind in copy triad; do
		put "memory_$kind" theirs "$(awk -v kind="$kind" '$1 == kind {print $2}' "$work/stream.txt")"
		put "memory_$kind" ours "$(figure "$work/memory.json" "memory.$kind" value)"
	done
}

compare_memory() {
	need gcc
	gcc -O3 -fopenmp -o "$work/stream" scripts/compare/stream.c
	each_run memory
	row memory_copy "memory: copy, all threads" MB/s "scripts/compare/stream.c"
	row memory_triad "memory: triad, all threads" MB/s "scripts/compare/stream.c"
}

# --- disk --------------------------------------------------------------------

# fio_job NAME FILTER FLAG… runs fio over a file like ours and reads a figure of its report.
fio_job() {
	local name=$1 filter=$2
	shift 2
	# Memory in one piece, as our benchmark has it: a transfer is cut where its memory is.
	GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
		fio --name="$name" --filename="$work/fio.data" --size=512M --direct=1 --ioengine=psync --iomem_align=2M --group_reporting \
		--time_based --runtime="$((seconds / 5 + 1))" --output-format=json "$@" >"$work/fio.json" ||
		fail "fio $name failed"
	put "$name" theirs "$(jq -r ".jobs[0] | $filter" "$work/fio.json")"
}

disk() {
	fio_job sequential_write '.write.bw_bytes / 1e6' --rw=write --bs=1M
	fio_job sequential_read '.read.bw_bytes / 1e6' --rw=read --bs=1M
	fio_job random_write '.write.iops' --rw=randwrite --bs=4k --numjobs=16
	fio_job random_read '.read.iops' --rw=randread --bs=4k --numjobs=16
	fio_job fsync '(.write.clat_ns.mean + .sync.lat_ns.mean) / 1e3' --rw=write --bs=4k --fsync=1
	rm -f "$work/fio.data"
	bench "$work/disk.json" --only disk
	local name
	for name in sequential_write sequential_read random_write random_read fsync; do
		put "$name" ours "$(figure "$work/disk.json" "disk.$name" delivered)"
	done
}

compare_disk() {
	need fio
	each_run disk
	row sequential_write "disk: sequential write, 1 MiB" MB/s fio
	row sequential_read "disk: sequential read, 1 MiB" MB/s fio
	row random_write "disk: random write, 4 KiB, 16 at once" IOPS fio
	row random_read "disk: random read, 4 KiB, 16 at once" IOPS fio
	row fsync "disk: write of 4 KiB and fsync" us fio
}

# --- network -----------------------------------------------------------------

inside() {
	local namespace=$1
	shift
	as_root ip netns exec "$namespace" "$@"
}

# line makes two network namespaces joined by a line.
line() {
	as_root ip netns add "${namespaces[0]}"
	as_root ip netns add "${namespaces[1]}"
	as_root ip link add eth0 netns "${namespaces[0]}" type veth peer name eth0 netns "${namespaces[1]}"
	local i
	for i in 0 1; do
		inside "${namespaces[$i]}" ip address add "10.211.0.$((i + 1))/30" dev eth0
		inside "${namespaces[$i]}" ip link set eth0 up
		inside "${namespaces[$i]}" ip link set lo up
	done
}

# shape bounds the line both ways.
shape() {
	local namespace
	for namespace in "${namespaces[@]}"; do
		inside "$namespace" tc qdisc replace dev eth0 root tbf rate "$1" burst 64k latency 50ms
	done
}

# serve starts a server at the line's far end and waits until it listens.
serve() {
	local port=$1
	shift
	# What runs in the background must be the server itself: a shell around it would die and leave it.
	if [[ $(id -u) == 0 ]]; then through=(); else through=(sudo); fi
	"${through[@]}" ip netns exec "${namespaces[0]}" "$@" >"$work/server.log" 2>&1 &
	servers+=($!)
	through=()
	local tries
	for ((tries = 0; tries < 100; tries++)); do
		[[ -n $(inside "${namespaces[0]}" ss -Hltn "sport = :$port") ]] && return
		sleep 0.1
	done
	fail "no server listens at port $port: $(tail -n 3 "$work/server.log")"
}

end_servers() {
	local pid
	for pid in "${servers[@]}"; do
		as_root kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	servers=()
}

iperf() {
	inside "${namespaces[1]}" iperf3 --json --client 10.211.0.1 --parallel 4 --time "$((seconds / 2))" "$@" >"$work/iperf.json" ||
		fail "iperf3: $(jq -r .error "$work/iperf.json")"
	jq -r '.end.sum_received.bits_per_second / 1e6' "$work/iperf.json"
}

network() {
	local speed=$1 direction
	serve 5201 iperf3 --server
	put "upload_$speed" theirs "$(iperf)"
	put "download_$speed" theirs "$(iperf --reverse)"
	end_servers
	serve 9465 "$worker" bench serve --home "$work/home" --listen 10.211.0.1:9465
	if [[ $(id -u) == 0 ]]; then through=(); else through=(sudo); fi
	through+=(ip netns exec "${namespaces[1]}")
	bench "$work/network.json" --only network --network 10.211.0.1:9465
	through=()
	end_servers
	for direction in upload download; do
		put "${direction}_$speed" ours "$(figure "$work/network.json" "network.$direction" delivered)"
	done
}

network_unshaped() { network unshaped; }
network_shaped() { network shaped; }

compare_network() {
	need iperf3
	command -v ip >/dev/null && command -v tc >/dev/null && command -v ss >/dev/null || fail "install iproute2"
	line
	each_run network_unshaped
	shape 100mbit
	each_run network_shaped
	local direction
	for direction in upload download; do
		row "${direction}_unshaped" "network: $direction between namespaces" Mbit/s iperf3
		row "${direction}_shaped" "network: $direction, shaped to 100 Mbit/s" Mbit/s iperf3
	done
}

# --- OpenCL ------------------------------------------------------------------

# best_of SECTION is the best of all vector widths in a section of clpeak's output, of its first device.
best_of() {
	awk -v section="$1" 'index($0, section) {on = 1; next} on && NF == 3 && $2 == ":" {if ($3 > best) best = $3; next}
		on {exit} END {print best}' "$work/clpeak.txt"
}

opencl() {
	clpeak --platform 0 --device 0 --global-bandwidth --compute-sp >"$work/clpeak.txt" || fail "clpeak failed"
	"$worker" --home "$work/home" accelerator-source opencl bench --device "$device" --seed 7 --duration "$((seconds / 2))s" \
		>"$work/opencl.json"
	put opencl_bandwidth theirs "$(awk -v gigabytes="$(best_of "Global memory bandwidth")" 'BEGIN {print 1000 * gigabytes}')"
	put opencl_fp32 theirs "$(best_of "Single-precision compute")"
	put opencl_bandwidth ours "$(figure "$work/opencl.json" accelerator.memory_bandwidth value)"
	put opencl_fp32 ours "$(figure "$work/opencl.json" accelerator.fp32 value)"
}

compare_opencl() {
	scripts/ensure-opencl.sh
	need clpeak
	local inventory
	inventory=$("$worker" --home "$work/home" accelerator-source opencl inventory)
	device=$(jq -r '.devices[0].id' <<<"$inventory")
	each_run opencl
	local model
	model=$(jq -r '.devices[0].model' <<<"$inventory")
	row opencl_bandwidth "OpenCL memory bandwidth: $model" MB/s clpeak
	row opencl_fp32 "OpenCL fp32: $model" GFLOP/s clpeak
}

# --- all ---------------------------------------------------------------------

for section in "${sections[@]}"; do
	declare -F "compare_$section" >/dev/null || fail "no section $section: there are cpu, memory, disk, network and opencl"
done
[[ -x $worker ]] || fail "no $worker: run make build first"
mkdir -p "$work/home"
need jq
for section in "${sections[@]}"; do
	"compare_$section"
done
{
	echo "| what | unit | ours | runs within | tool | theirs | runs within | ours ÷ theirs |"
	echo "| --- | --- | ---: | ---: | --- | ---: | ---: | ---: |"
	printf '%s\n' "${rows[@]}"
} >build/bench/compare.md
cat build/bench/compare.md
