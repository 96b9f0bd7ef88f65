#!/usr/bin/env bash
# Makes sure a Docker engine answers on this machine, with the tools that workers fence and limit containers with: says
# nothing when all is there, otherwise installs the distribution's packages, starts the engine and waits until it answers.
#
# Safe to call any number of times. It never touches an engine that runs, and removes no package.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# The daemon's folder is missing from an ordinary user's PATH on Debian.
PATH="$PATH:/usr/sbin:/sbin"

readonly packages=(docker.io iptables ca-certificates)
# A cold engine answers within a few seconds; a busy two-core machine is given ten times that.
readonly wait_seconds=60
readonly check=build/dockercheck
readonly engine_log="$root/build/dockerd.log"
readonly install_log=build/docker-install.log
readonly pid_file=/var/run/docker.pid
readonly containerd_pid_file=/var/run/docker/containerd/containerd.pid

say() { echo "docker: $*"; }

fail() {
	local line
	for line in "$@"; do
		echo "docker: $line" >&2
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

# answers is true when an engine answers; it ends the script when this user may not talk to it.
answers() {
	local status=0
	answer=$("$check" 2>&1) || status=$?
	if ((status == 2)); then
		fail "an engine runs, but user $(id -un) may not use it" \
			"allow it with 'sudo usermod -aG docker $(id -un)', log in again, and try again"
	fi
	return "$status"
}

# wait_for_answer waits until an engine answers, or no engine process is left to wait for.
wait_for_answer() {
	local deadline=$((SECONDS + wait_seconds))
	while ((SECONDS < deadline)); do
		if answers; then
			say "$answer is running"
			return 0
		fi
		if [[ -n ${1:-} ]] && ! engine_running; then
			return 1
		fi
		sleep 0.5
	done
	return 1
}

engine_running() { pidof dockerd >/dev/null; }

# install PACKAGE... installs packages of the distribution.
install() {
	local status=0
	{
		as_root apt-get update &&
			# --no-remove: a docker command line of another origin stays, or apt says what is in the way.
			as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-remove \
				--no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
	} </dev/null >"$install_log" 2>&1 || status=$?
	hash -r
	if ((status != 0)); then
		tail -n 15 "$install_log" >&2
		fail "installing $* failed; the lines above are the end of $install_log"
	fi
}

install_engine() {
	if ! command -v apt-get >/dev/null; then
		fail "no Docker engine here, and no apt-get to install one with" \
			"install one from your distribution's packages (such as moby-engine or docker), then try again"
	fi
	say "no engine on this machine: installing ${packages[*]} from the distribution's packages"
	install "${packages[@]}"
	if ! command -v dockerd >/dev/null; then
		fail "the packages were installed, but there is still no dockerd"
	fi
}

# ensure_tools installs what the worker calls beside the engine: a disk image for each placement, firewall rules, limits on
# bandwidth. Minimal systems lack some of it.
ensure_tools() {
	local tool missing=()
	for tool in iptables:iptables mkfs.ext4:e2fsprogs losetup:mount nsenter:util-linux tc:iproute2; do
		command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
	done
	if ((${#missing[@]} == 0)); then
		return 0
	fi
	if ! command -v apt-get >/dev/null; then
		say "these are missing, install them for full isolation of containers: ${missing[*]}"
		return 0
	fi
	say "installing ${missing[*]} from the distribution's packages"
	install "${missing[@]}"
}

# drop_stale_pid removes a pid file whose process is gone or is something else by now: after a crash
# or a reboot the number may belong to anybody, and the engine would refuse to start.
drop_stale_pid() {
	local file=$1 name=$2 pid
	# The folder of the second file is root's alone.
	pid=$(as_root cat "$file" 2>/dev/null) || return 0
	if [[ $pid =~ ^[0-9]+$ && $(cat "/proc/$pid/comm" 2>/dev/null) == "$name"* ]]; then
		return 0
	fi
	say "removing $file, left behind by a $name that is gone"
	as_root rm -f "$file"
}

# start_by_service asks the machine's own service manager, where there is one that works.
start_by_service() {
	if [[ -d /run/systemd/system ]]; then
		as_root systemctl start docker </dev/null >>"$engine_log" 2>&1
	elif [[ -x /etc/init.d/docker ]]; then
		as_root service docker start </dev/null >>"$engine_log" 2>&1
	else
		return 1
	fi
}

# start_detached starts the daemon in a session of its own, so that it outlives this script.
start_detached() {
	as_root setsid --fork dockerd </dev/null >>"$engine_log" 2>&1
}

start_engine() {
	say "starting the engine"
	drop_stale_pid "$pid_file" dockerd
	drop_stale_pid "$containerd_pid_file" containerd
	: >"$engine_log"
	if start_by_service; then
		# A service reports success before its daemon is up, so the process is given a moment to show.
		sleep 1
		if wait_for_answer while-running; then
			return 0
		fi
	fi
	if ! engine_running; then
		start_detached
		sleep 1
	fi
	if ! wait_for_answer while-running; then
		explain_failure
	fi
}

explain_failure() {
	local log=$engine_log
	if [[ ! -s $log ]] || ! grep -q level= "$log"; then
		for log in /var/log/docker.log "$engine_log"; do
			[[ -s $log ]] && break
		done
	fi
	as_root tail -n 20 "$log" >&2 || true
	fail "the engine does not answer: $answer" \
		"the lines above are the end of its log, $log (with systemd see also 'journalctl -u docker')"
}

if [[ $(uname -s) != Linux ]]; then
	fail "workers run on Linux only; on this system start Docker by hand and run the Linux parts inside"
fi

mkdir -p build
ensure_tools
go build -o "$check" ./scripts/dockercheck

answer=
if answers; then
	exit 0
fi
if [[ -n ${DOCKER_HOST:-} ]]; then
	fail "DOCKER_HOST points at $DOCKER_HOST, where nothing answers: $answer" \
		"start that engine, or unset DOCKER_HOST to use one on this machine"
fi
if engine_running; then
	say "an engine is starting: waiting for it"
	if wait_for_answer while-running; then
		exit 0
	fi
	if engine_running; then
		explain_failure
	fi
fi
if ! command -v dockerd >/dev/null || ! command -v iptables >/dev/null; then
	install_engine
	if wait_for_answer while-running; then
		exit 0
	fi
fi
start_engine
