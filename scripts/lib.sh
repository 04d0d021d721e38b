# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script here shares: paths, words to the user, and long steps with a log.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$TOP/build}
JOBS=${JOBS:-$(nproc)}
KERNEL=${KERNEL:-7.3}
export TOP BUILD JOBS KERNEL
# What the user gave to our make is not for the makes of other projects: audit's has DEBUG among the
# compiler's flags.
unset MAKEFLAGS MFLAGS
export -n DEBUG

mkdir -p "$BUILD/log"
# What is configured holds absolute paths: a checkout that was copied or moved is configured anew.
if [ -e "$BUILD/.place" ] && [ "$(<"$BUILD/.place")" != "$BUILD" ]; then
	echo "this checkout was copied from $(<"$BUILD/.place"): it is configured anew" >&2
	# The Makefile of the kernel's source is the kernel's.
	for objects in "$BUILD"/linux/*/ "$BUILD"/stock/*/objects/; do
		[ "$objects" = "$BUILD/linux/src/" ] || rm -f "$objects"{.configured,Makefile}
	done
	rm -rf "$BUILD"/venv "$BUILD"/{stock/*/.prepared,audit*/.stamp}
fi
[ "$(cat "$BUILD/.place" 2>/dev/null)" = "$BUILD" ] || echo "$BUILD" >"$BUILD/.place"

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step NAME WHAT COMMAND...: run a long command with its output in a log, and tell that it is alive.
step() {
	local name=$1 what=$2 log=$BUILD/log/$1.log start=$SECONDS pid rc=0
	shift 2
	# The lab shows what runs, and has a log for it.
	if [ -n "${IN_STEP:-}" ]; then
		say "==> $what"
		# In a shell of its own, where an error ends a function.
		"$@" >&2 </dev/null &
		wait $! || die "$what: failed (exit $?)"
		return
	fi
	if [ "${V:-0}" = 1 ]; then
		say "==> $what"
		"$@" 2>&1 | tee "$log" >&2
		return
	fi
	say "==> $what (log: build/log/$name.log)"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		if [ $(((SECONDS - start) % 30)) -eq 29 ]; then
			printf '    %4d s  %.100s\n' $((SECONDS - start)) "$(tail -n 1 "$log")" >&2
		fi
	done
	wait "$pid" || rc=$?
	if [ "$rc" -ne 0 ]; then
		tail -n 25 "$log" >&2
		die "$what: failed (exit $rc), see $log"
	fi
	say "    done in $((SECONDS - start)) s"
}

# as_root COMMAND...: with sudo, for those who are not.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
		return
	fi
	command -v sudo >/dev/null || die "as root, please: $*"
	sudo "$@"
}

# install_packages PACKAGE...: those that are not there.
install_packages() {
	local package missing=()
	for package; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	step packages-index "updating the package index" as_root apt-get update
	step packages "installing ${#missing[@]} packages" \
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
			"${missing[@]}"
}

debian_release() {
	# shellcheck disable=SC1091
	(. /etc/os-release 2>/dev/null && [ "${ID:-}" = debian ] && printf '%s' "${VERSION_ID:-}") || true
}

# The address of the mirror that the system's apt is configured with, as far as apt has its index.
debian_mirror() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		grep -E '/debian/?$' | head -n 1 || true
}

# private_apt NAME TYPE SUITE...: set the array apt_private to the options that make apt read
# Debian's SUITEs (TYPE is deb or deb-src). All its files are in build/apt/NAME; of the system's
# configuration only the mirror's address is read.
private_apt() {
	local dir=$BUILD/apt/$1 type=$2 mirror
	shift 2
	mirror=$(debian_mirror)
	if [ -z "$mirror" ]; then
		step packages-index "updating the package index" as_root apt-get update
		mirror=$(debian_mirror)
		[ -n "$mirror" ] || return 1
	fi
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	cat >"$dir/debian.sources" <<-EOF
		Types: $type
		URIs: $mirror
		Suites: $*
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	EOF
	# A mirror that lags serves an index past its date; its signature counts all the same.
	# shellcheck disable=SC2034
	apt_private=(-o "Dir::Etc::sourcelist=$dir/debian.sources" -o Dir::Etc::sourceparts=-
		-o Acquire::Check-Valid-Until=false
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache")
}

# The toolchain of the kernel build. Debian 12's own rustc sits beside a possible rustup one, which
# has no library sources.
toolchain() {
	export LLVM=-19 RUSTC=/usr/bin/rustc RUSTFMT=/usr/bin/rustfmt
	export PATH="$BUILD/bin:/usr/lib/llvm-19/bin:$PATH"
	export CCACHE_DIR=${CCACHE_DIR:-$BUILD/ccache} CCACHE_NOHASHDIR=1
}

# kmake DIR TARGET...: make in the kernel's object folder DIR.
kmake() {
	local dir=$1
	shift
	toolchain
	make -C "$dir" -j"$JOBS" V="${V:-0}" "LLVM=$LLVM" "RUSTC=$RUSTC" \
		KBUILD_BUILD_TIMESTAMP=1970-01-01 "$@"
}

# host_cargo ARGUMENT...: the distribution's cargo where it is installed, so that every machine
# builds with what setup.sh knows.
host_cargo() {
	local cargo=cargo
	[ ! -x /usr/bin/cargo ] || cargo=/usr/bin/cargo
	(cd "$TOP" && PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$BUILD/target" "$cargo" \
		"$@")
}

# tree_sources: print the files of src/ that belong in a kernel tree: all but the livepatch, which
# is for a kernel as it is.
tree_sources() {
	(cd "$TOP/src" && find -L . -type f ! -name 'livepatch*' -printf '%P\n' | sort)
}

# part_of_patch glue|own PATCH: print its changes of files that the kernel has, or of files of src/.
part_of_patch() {
	tree_sources | awk -v own="$1" 'NR == FNR { sources["a/" $0]; next }
		/^--- a\// { on = ($2 in sources) == (own == "own") } on' - "$2"
}

# What a script of checks says, of which "lab.sh check SCRIPT" makes KTAP.
plan() { echo "@plan $1"; }
# check NAME COMMAND...: one result, after what the command printed; 4 says that it cannot be tried.
check() {
	local rc=0
	echo "@check $1"
	shift
	("$@") 2>&1 || rc=$?
	echo "@result $rc"
}
# skip NAME WHY: one result of what cannot be tried here.
skip() { printf '%s\n' "@check $1" "$2" "@result 4"; }
