#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# All that CI runs: set everything up, run every kind of test, and count. The last line is "N
# passed, N failed[, N skipped]".
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

passed=0 failed=0 skipped=0

# part NAME COMMAND...: run one kind of test, shown as it goes, and count the results it printed:
# KTAP's, kunit.py's or cargo's.
part() {
	local name=$1 log=$BUILD/log/test-$1.log rc=0 start=$SECONDS p f s
	shift
	say "==> testing: $name"
	"$@" 2>&1 </dev/null | tee "$log" || rc=$?
	read -r p f s < <(awk '
		/^ *ok [0-9]+ .*# SKIP/ { s++; next }
		/^ *ok [0-9]+/ { p++ }
		/^ *not ok [0-9]+/ { f++ }
		/^test result:/ { p += $4; f += $6; s += $8 }
		/Testing complete. Ran [0-9]+ tests/ {
			for (i = 1; i < NF; i++) {
				if ($i == "passed:") p += $(i + 1)
				if ($i == "failed:" || $i == "crashed:" || $i == "errors:") f += $(i + 1)
				if ($i == "skipped:") s += $(i + 1)
			}
		}
		END { print p + 0, f + 0, s + 0 }' "$log")
	# What failed without a result, or printed none, is a failure too.
	if { [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; } || [ $((p + f)) -eq 0 ]; then
		say "error: $name ended with exit code $rc after $p passed (log: build/log/test-$name.log)"
		f=$((f + 1))
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	say "    $name: $p passed, $f failed, $s skipped, in $((SECONDS - start)) s"
}

"$TOP/scripts/setup.sh" vm kernel check
"$TOP/scripts/prepare.sh" m unpatched y novfio
part host "$TOP/scripts/host-test.sh"
part tree "$TOP/scripts/test-tree.sh"
part audit "$TOP/scripts/audit-test.sh"
# The processor that emulation leaves idle builds what only lint wants.
nice -n 19 "$TOP/scripts/setup.sh" deny >"$BUILD/log/setup-deny.log" 2>&1 &
deny=$!
part kunit "$TOP/scripts/kunit.sh"
part e2e "$TOP/scripts/e2e.sh"
part e2e-builtin "$TOP/scripts/e2e.sh" --builtin
[ "${LONG:-0}" = 0 ] || part e2e-parallel "$TOP/scripts/e2e.sh" --parallel
[ "${LONG:-0}" = 0 ] || part deb "$TOP/scripts/test-deb.sh"
part e2e-novfio "$TOP/scripts/e2e.sh" --novfio
# Without it, lint says so.
wait "$deny" || true
part lint "$TOP/scripts/lint.sh"

if [ "$skipped" -gt 0 ]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
