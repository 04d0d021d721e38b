#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How much of the modules' files that import only core the host's tests run: lines and branches, for each file. Prints KTAP; a
# file's lines or branches at 95 % or below are a failure.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

least=95
out=$BUILD/coverage

# Only the LLVM that rustc was built with is sure to read what its programs write; setup.sh installs its tools.
llvm=$(/usr/bin/rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=/usr/lib/llvm-$llvm/bin
if ! [ -x "$tools/llvm-cov" ]; then
	echo "TAP version 13"
	echo "1..1"
	echo "ok 1 - coverage of the core-only files # SKIP there is no llvm-cov of LLVM $llvm, which rustc uses"
	exit
fi

# A wrapper, so that what the tests depend on is built once, without coverage, for host-test.sh and this. Branches are counted by
# an option that is not stable, as the kernel uses many.
mkdir -p "$out"
cat >"$out/rustc" <<'END'
#!/bin/sh
RUSTC_BOOTSTRAP=1 exec "$@" -Cinstrument-coverage -Zcoverage-options=branch -Copt-level=0 -Zcross-crate-inline-threshold=never
END
chmod +x "$out/rustc"
cover() {
	RUSTC_WORKSPACE_WRAPPER=$out/rustc LLVM_PROFILE_FILE="$out/%p-%m.profraw" host_cargo test --release -p pci-audit-core "$@"
}
programs() { cover --no-run --message-format=json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*\)".*/-object=\1/p'; }

rm -f "$out"/*.profraw
step coverage "running the tests of the core-only files, with coverage" cover
mapfile -t objects < <(programs)
"$tools/llvm-profdata" merge -sparse "$out"/*.profraw -o "$out/all.profdata"
mapfile -t files < <(sed -n 's!^#\[path = "../../../\(.*\)"\]$!\1!p' "$TOP/tools/core/src/lib.rs")

"$tools/llvm-cov" export -summary-only -instr-profile="$out/all.profdata" "${objects[@]}" >"$out/all.json" 2>"$out/llvm-cov.log" ||
	die "llvm-cov: $(cat "$out/llvm-cov.log")"
python3 - "$out/all.json" "$TOP" "$least" "${files[@]}" <<'END'
import json
import os
import sys

report, top, least, wanted = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]
found = {}
for entry in json.load(open(report))["data"][0]["files"]:
    name = os.path.relpath(os.path.realpath(entry["filename"]), os.path.realpath(top))
    found[name] = entry["summary"]

def figures(what):
    """Count, covered, and percent; nothing to cover is covered."""
    percent = 100 * what["covered"] / what["count"] if what["count"] else 100
    return f'{what["covered"]}/{what["count"]} {percent:.1f} %', percent

failed = False
print("TAP version 13")
print(f"1..{len(wanted)}")
for number, name in enumerate(wanted, 1):
    if name not in found:
        code = "fn " in open(os.path.join(top, name)).read()
        failed |= code
        print("not ok" if code else "ok", f"{number} - coverage of {name}:", "no test has it" if code else "no code")
        continue
    lines, line_percent = figures(found[name]["lines"])
    branches, branch_percent = figures(found[name]["branches"])
    low = min(line_percent, branch_percent) <= least
    failed |= low
    verdict = "not ok" if low else "ok"
    print(f"{verdict} {number} - coverage of {name}: lines {lines}, branches {branches}")
sys.exit(failed)
END
