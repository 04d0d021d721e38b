#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How much of the modules' files that import only core the host's tests run: lines and branches, for
# each file. Prints KTAP; a file's lines or branches at 95 % or below are a failure.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

least=95
out=$BUILD/coverage

# Only the LLVM that rustc was built with is sure to read what its programs write; setup.sh installs
# its tools.
llvm=$(/usr/bin/rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=/usr/lib/llvm-$llvm/bin
if ! [ -x "$tools/llvm-cov" ]; then
	echo "TAP version 13"
	echo "1..1"
	echo "ok 1 - coverage of the core-only files # SKIP there is no llvm-cov of LLVM $llvm, which rustc uses"
	exit
fi

# A wrapper, so that what the tests depend on is built once, without coverage, for host-test.sh and
# this. Branches are counted by an option that is not stable, as the kernel uses many.
mkdir -p "$out"
cat >"$out/rustc" <<'END'
#!/bin/sh
RUSTC_BOOTSTRAP=1 exec "$@" -Cinstrument-coverage -Zcoverage-options=branch -Copt-level=0 -Zcross-crate-inline-threshold=never
END
chmod +x "$out/rustc"
cover() {
	RUSTC_WORKSPACE_WRAPPER=$out/rustc LLVM_PROFILE_FILE="$out/%p-%m.profraw" host_cargo test --release -p pci-audit -p pci-audit-core "$@"
}
programs() { cover --no-run --message-format=json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*\)".*/-object=\1/p'; }

rm -f "$out"/*.profraw
step coverage "running the tests of the core-only files, with coverage" cover
mapfile -t objects < <(programs)
"$tools/llvm-profdata" merge -sparse "$out"/*.profraw -o "$out/all.profdata"
mapfile -t files < <(cd "$TOP" && find tools/pci-audit/src tools/core/src -type l -exec realpath --relative-to=. {} + | sort)

export() { "$tools/llvm-cov" export -instr-profile="$out/all.profdata" "${objects[@]}" "$@" 2>>"$out/llvm-cov.log"; }
: >"$out/llvm-cov.log"
if ! { export -format=lcov >"$out/lines" && export >"$out/branches"; }; then
	die "llvm-cov: $(cat "$out/llvm-cov.log")"
fi
python3 - "$out" "$TOP" "$least" "${files[@]}" <<'END'
import collections
import json
import os
import sys

out, top, least, wanted = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]

# A file may be there under several spellings of its name, and a function once for each program that
# has it.
def real(name):
    return os.path.relpath(os.path.realpath(name), os.path.realpath(top))

lines = collections.defaultdict(collections.Counter)
for text in open(os.path.join(out, "lines")):
    kind, _, rest = text.strip().partition(":")
    if kind == "SF":
        current = lines[real(rest)]
    elif kind == "DA":
        line, times = rest.split(",")[:2]
        current[line] += int(times)

branches = collections.defaultdict(collections.Counter)
for entry in json.load(open(os.path.join(out, "branches")))["data"][0]["files"]:
    for branch in entry["branches"]:
        place = tuple(branch[:4])
        branches[real(entry["filename"])][place, True] += branch[4]
        branches[real(entry["filename"])][place, False] += branch[5]

def figures(times):
    """Covered, count, and percent; nothing to cover is covered."""
    covered = sum(1 for number in times.values() if number)
    percent = 100 * covered / len(times) if times else 100
    return f"{covered}/{len(times)} {percent:.1f} %", percent

failed = False
print("TAP version 13")
print(f"1..{len(wanted)}")
for number, name in enumerate(wanted, 1):
    if name not in lines:
        code = "fn " in open(os.path.join(top, name)).read()
        failed |= code
        print("not ok" if code else "ok", f"{number} - coverage of {name}:", "no test has it" if code else "no code")
        continue
    by_line, line_percent = figures(lines[name])
    by_branch, branch_percent = figures(branches[name])
    low = min(line_percent, branch_percent) <= least
    failed |= low
    verdict = "not ok" if low else "ok"
    print(f"{verdict} {number} - coverage of {name}: lines {by_line}, branches {by_branch}")
sys.exit(failed)
END
