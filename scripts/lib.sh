# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script here shares: paths, words to the user, long steps with a log.

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
[ "$(cat "$BUILD/.place" 2>/dev/null)" = "$BUILD" ] || "$TOP/scripts/moved.sh"

# shellcheck source=apt.sh
. "$TOP/scripts/apt.sh"
# shellcheck source=toolchain.sh
. "$TOP/scripts/toolchain.sh"

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
