#!/usr/bin/env bash
# Makes a Debian server's root folder for tests, .cache/host-tree/root: minbase with nginx and PostgreSQL, a page, and a
# database with rows. Says nothing when it is there already. Packages that were downloaded stay beside it.
#
# Needs root, as debootstrap does. Safe to call any number of times. It removes no package.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly dir=$PWD/.cache/host-tree
readonly root=$dir/root new=$dir/new
readonly suite=${HOST_TREE_SUITE:-bookworm}
readonly mirror=${HOST_TREE_MIRROR:-http://deb.debian.org/debian}
readonly log=$dir/make.log

say() { echo "host tree: $*"; }

fail() {
	tail -n 15 "$log" >&2 || true
	say "$* failed; the lines above are the end of $log" >&2
	exit 1
}

# as_root runs a command as root, through sudo for anybody else.
as_root() {
	if [[ $(id -u) == 0 ]]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		say "this needs root, and there is no sudo: run '$*' as root, then try again" >&2
		exit 1
	fi
}

# configure runs inside the tree, with processes and mounts of its own.
configure() {
	cat <<'INSIDE'
set -eu
echo '<h1>A page of the old server</h1>' >/var/www/html/index.html
version=$(ls /etc/postgresql)
echo "listen_addresses = '*'" >"/etc/postgresql/$version/main/conf.d/open.conf"
echo 'host all all all scram-sha-256' >>"/etc/postgresql/$version/main/pg_hba.conf"
pg_ctlcluster "$version" main start
su postgres -c "psql -q -v ON_ERROR_STOP=1" <<'SQL'
create role shop login password 'shop';
create database shop owner shop;
\c shop
set role shop;
create table items (id serial primary key, name text not null);
insert into items (name) select 'item ' || i from generate_series(1, 1000) i;
SQL
pg_ctlcluster "$version" main stop
INSIDE
}

if [[ -e $dir/done ]]; then
	exit 0
fi
mkdir -p "$dir/packages"
: >"$log"
if ! command -v debootstrap >/dev/null; then
	if ! command -v apt-get >/dev/null; then
		say "no debootstrap here, and no apt-get to install it with: install it, then try again" >&2
		exit 1
	fi
	say "installing debootstrap from the distribution's packages"
	{ as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-remove --no-install-recommends debootstrap; } \
		</dev/null >>"$log" 2>&1 || fail "installing debootstrap"
fi
say "making a Debian server in $root"
as_root rm -rf "$new" "$root"
as_root debootstrap --variant=minbase --include=nginx-light,postgresql --cache-dir="$dir/packages" "$suite" "$new" "$mirror" \
	</dev/null >>"$log" 2>&1 || fail "debootstrap"
configure | as_root unshare --mount --pid --fork --propagation private \
	sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" /bin/sh -s' sh "$new" >>"$log" 2>&1 || fail "setting up the server"
as_root mv "$new" "$root"
touch "$dir/done"
