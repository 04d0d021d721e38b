#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Audit-userspace with our patches, in the stable and in the newest version: build both, and run the
# test suite of each, with our tests in it. Prints KTAP, a result for each of its tests.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

ours=(normalize_pci_test ausearch_pci_test.sh)

result() {
	count=$((count + 1))
	[ "$1" = ok ] || failed=1
	echo "$1 $count - $2"
}

# suite WHICH NAME [OPTION...]: build and test one; its programs and logs are under NAME.
suite() {
	local which=$1 name=$2 log=$BUILD/log/$2-check.log version verdict test
	shift 2
	rm -f "$log"
	"$TOP/scripts/build-audit.sh" --check "$@" >/dev/null ||
		result "not ok" "the $which audit userspace is built and tested"
	[ -e "$log" ] || return 0
	version="audit $("$BUILD/$name/sbin/auditctl" -v | grep -o '[0-9.]*$' || true)"
	while IFS=': ' read -r verdict test; do
		case $verdict in
		PASS | XFAIL) result ok "$version: $test" ;;
		SKIP) result ok "$version: $test # SKIP by the suite itself" ;;
		*) result "not ok" "$version: $test" ;;
		esac
	done < <(grep -E '^(PASS|XFAIL|SKIP|FAIL|XPASS|ERROR): ' "$log")
	for test in "${ours[@]}"; do
		grep -q "^[A-Z]*: $test\$" "$log" ||
			result "not ok" "$version: $test is in the suite"
	done
}

echo "TAP version 13"
suite stable audit
suite newest audit-newest --newest
echo "1..$count"
all_passed
