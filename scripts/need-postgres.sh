#!/bin/sh
# Makes sure that the demo and the tests can have a PostgreSQL server: a URL in the environment, server binaries,
# or a Docker engine; else installs Debian's package. It starts no server, and none is left running by the install.
set -eu

if [ -n "${TEST_DATABASE_URL:-}" ] || [ -n "${DATABASE_URL:-}" ]; then
	exit 0
fi

installed() {
	initdb=$(readlink -f "$(command -v initdb 2>/dev/null || echo /nowhere)")
	for dir in "${STATEK_PG_BIN:-/nowhere}" "$(dirname "$initdb")" \
		/usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
		/opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
		[ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && return 0
	done
	return 1
}

if installed; then
	exit 0
fi
if command -v docker >/dev/null 2>&1 && timeout 10 docker info >/dev/null 2>&1; then
	exit 0
fi

give_up() {
	cat >&2 <<-MSG
	need-postgres: there is no PostgreSQL here, and $1.
	Install the server, version 14 or newer (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17),
	or start Docker, or set TEST_DATABASE_URL for the tests or DATABASE_URL for the demo.
	MSG
	exit 1
}

command -v apt-get >/dev/null 2>&1 || give_up "this system has no apt-get to install it with"
as_root=""
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || give_up "installing it needs root, or sudo without a password"
	as_root="sudo -n"
fi

echo "need-postgres: installing PostgreSQL with apt-get" >&2
apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}
# The package would make a cluster and start it. We only need the binaries.
conf=/etc/postgresql-common/createcluster.d/statek-need-postgres.conf
cleanup() { $as_root rm -f "$conf"; }
trap cleanup EXIT
apt update || give_up "apt-get update failed"
apt install -y --no-install-recommends postgresql-common || give_up "apt-get could not install postgresql-common"
$as_root mkdir -p "$(dirname "$conf")"
echo "create_main_cluster = false" | $as_root tee "$conf" >/dev/null
apt install -y --no-install-recommends postgresql || give_up "apt-get could not install postgresql"
installed || give_up "apt-get installed postgresql but no server was found"
