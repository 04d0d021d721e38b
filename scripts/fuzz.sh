#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fuzz.sh [TARGET...]: fuzz each target of tools/fuzz for SECONDS_EACH (default 600) with
# cargo-fuzz. It takes a nightly toolchain of rustup. What the fuzzer learns stays in build/fuzz; an
# input that makes a target fail is named at the end. The target "accesses" is for the kernel: it is
# only built here, and runs in a VM (make fuzz-kernel).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

seconds=${SECONDS_EACH:-600}
crate=$TOP/tools/fuzz
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(find "$crate/corpus" -mindepth 1 -maxdepth 1 -type d \
	-printf '%f\n' | sort)

cargo=(rustup run nightly cargo)
"${cargo[@]}" --version >/dev/null 2>&1 ||
	die "fuzzing takes a nightly toolchain: rustup toolchain install nightly"
[ -x "$BUILD/bin/cargo-fuzz" ] ||
	step cargo-fuzz "building cargo-fuzz 0.13.2" env -u RUSTC "${cargo[@]}" install --locked \
	--root "$BUILD" cargo-fuzz --version 0.13.2

fuzz() {
	env -u RUSTC PATH="$BUILD/bin:$PATH" CARGO_TARGET_DIR="$BUILD/fuzz/target" "${cargo[@]}" fuzz \
		"$1" --fuzz-dir "$crate/libfuzzer" "${@:2}"
}

for target in "${targets[@]}"; do
	if [ "$target" = accesses ]; then
		step fuzz-accesses "building the fuzzer for the kernel" \
			fuzz build --sanitizer none --features accesses accesses
		continue
	fi
	learnt=$BUILD/fuzz/corpus/$target
	mkdir -p "$learnt" "$BUILD/fuzz/artifacts/$target"
	# The other targets are built without the operator's tool, in a fraction of the time.
	features=()
	[ "$target" != report_log ] || features=(--features report)
	step "fuzz-$target" "fuzzing $target for $seconds s" \
		fuzz run ${features[@]+"${features[@]}"} "$target" "$learnt" \
		"$crate/corpus/$target" -- "-max_total_time=$seconds" -max_len=8192 \
		"-artifact_prefix=$BUILD/fuzz/artifacts/$target/" -print_final_stats=1
	say "    $(grep -E '^stat::number_of_executed_units' "$BUILD/log/fuzz-$target.log")"
done
