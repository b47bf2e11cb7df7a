#!/bin/sh
# Makes sure that the tests can have PgBouncer, which they start themselves: installs Debian's package where that is
# possible, without starting its service. Elsewhere the tests of pooled connections are skipped, and fail in CI.
set -eu

command -v pgbouncer >/dev/null 2>&1 || [ -x /usr/sbin/pgbouncer ] && exit 0

skip() {
	echo "need-pgbouncer: there is no pgbouncer here, and $1; the tests of pooled connections cannot run" >&2
	exit 0
}

command -v apt-get >/dev/null 2>&1 || skip "this system has no apt-get to install it with"
as_root=""
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || skip "installing it needs root, or sudo without a password"
	as_root="sudo -n"
fi

echo "need-pgbouncer: installing PgBouncer with apt-get" >&2
# The package would start its service. We only need the program.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap '$as_root rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod +x "$policy"
fi
apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}
apt update || skip "apt-get update failed"
apt install -y --no-install-recommends pgbouncer || skip "apt-get could not install it"
