# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What lint.sh asks of the kernel's half. Everything is built in a folder of its own,
# build/linux/lint, as an external module for the kernel in build/linux/y, whatever the
# configuration says: no other build folder is touched, and KUnit suites are seen too.

lint=$BUILD/linux/lint
objects=$BUILD/linux/y

# ours EXPRESSION...: find among our own files, and not among VFIO's.
ours() { (cd "$lint" && find ./*/ \( -path './vfio/*' -o -path './unpatched/*' \) -prune -o "$@" |
	sed 's,^\./,,' | sort); }
# The folders that kbuild is told to build in; it finds those of KUnit in the folders above them.
kernel_folders() { ours \( -name Makefile -o -name Kbuild \) ! -path '*/kunit/*' -printf '%h\n'; }

# Copy what there is, and let nothing depend on an option. vfio_pci_config.c is there as it is with
# the series, and without.
lint_copy() {
	local folder
	rm -rf "$lint"
	mkdir -p "$lint/drivers" "$lint/vfio" "$lint/unpatched" "$lint/tools"
	rsync -r --copy-links --exclude '/Documentation' --exclude '/include' --exclude '/tools' \
		"$TOP/src/" "$lint/"
	rsync -r --exclude modules/replace "$TOP/tools/modules" "$lint/tools/"
	# shellcheck disable=SC2016
	find "$lint" \( -name Makefile -o -name Kbuild \) -exec sed -i \
		's/^obj-$(CONFIG_[A-Z0-9_]*)/obj-m/' {} +
	kernel_folders | sed 's,.*,obj-m += &/,' >"$lint/Kbuild"
	# shellcheck disable=SC2154
	"$TOP/scripts/graft.sh" --unpatched "$tree" "$lint/unpatched"
	cp "$tree"/drivers/vfio/pci/*.[ch] "$lint/vfio/"
	rsync -r "$lint/drivers/vfio/pci/audit/" "$lint/vfio/audit/"
	rsync -r --ignore-existing "$lint/vfio/" "$lint/unpatched/drivers/vfio/pci/"
	for folder in vfio unpatched/drivers/vfio/pci; do
		printf '%s\n' 'obj-m := config.o' 'config-y := vfio_pci_config.o' >"$lint/$folder/Kbuild"
		echo "obj-m += $folder/" >>"$lint/Kbuild"
	done
}

# lint_make ARGUMENT...: build it all, or those targets; say what compilers complain of, and fail if
# there is any of it.
lint_make() {
	local output
	output=$(kmake "$objects" "M=$lint" KBUILD_MODPOST_WARN=1 "$@" 2>&1) ||
		{ echo "$output"; return 1; }
	! grep -E -A 12 '^(warning|error)|[0-9]: (warning|error):' <<<"$output"
}
lint_targets() { kernel_folders | sed 's,$,/,'; echo vfio/; }

# The kernel's clippy wants the clippy of the compiler that the kernel was built with.
find_clippy() {
	local driver
	for driver in /usr/bin/clippy-driver $(type -ap clippy-driver); do
		if [ "$("$driver" --rustc --version 2>/dev/null)" = "$("$RUSTC" --version)" ]; then
			echo "$driver"
			return
		fi
	done
	return 1
}
kernel_warnings() {
	local targets
	mapfile -t targets < <(lint_targets)
	lint_make W=1 "$@" "${targets[@]}"
}

# Debian's sparse knows neither __typeof_unqual__ nor __has_include(); as told here, it says no less
# of the kernel's C. Nor does it know that the length of a literal is constant, which
# MODULE_LICENSE() asserts at the end of a file. After any other error it is silent, so that an
# error counts too. The kernel's own files give warnings: what counts is what the series adds.
sparse_of() {
	kmake "$objects" "M=$lint" C=2 \
		CHECK="sparse -D__typeof_unqual__=__typeof__ -D'__has_include(x)=0'" "$@" 2>&1 \
		>"$lint/sparse.log" |
		grep -E ':[0-9]+:[0-9]+: |sparse is not' | grep -v 'error: bad constant expression$' |
		sed 's/:[0-9]*:[0-9]*:/:/; s,.*/,,' | sort
	grep -q '^  CHECK ' "$lint/sparse.log"
}
sparse_c() {
	local targets before after added
	# What was built; the livepatch is for other kernels.
	mapfile -t targets < <(ours -name '*.o' -print | while read -r object; do
		[ ! -e "$lint/${object%o}c" ] || echo "$object"
	done)
	rm -f "${targets[@]/#/$lint/}" "$lint"/vfio/*.o "$lint"/unpatched/drivers/vfio/pci/*.o
	before=$(sparse_of unpatched/drivers/vfio/pci/vfio_pci_config.o) ||
		{ echo "sparse did not run"; return 1; }
	after=$(sparse_of vfio/vfio_pci_config.o "${targets[@]}") ||
		{ echo "sparse did not run"; return 1; }
	added=$(diff <(echo "$before") <(echo "$after") | sed -n 's/^> //p') || true
	[ -z "$added" ] || { echo "$added"; return 1; }
}

# rustdoc with the compiler's own arguments, as kbuild noted them, private items included.
kernel_rustdoc() {
	local note command output modifiers=() rc=0
	[ "$(printf '%s\n' 1.88 "$("$RUSTC" --version | cut -d' ' -f2)" | sort -V |
		head -n 1)" != 1.88 ] ||
		modifiers=(-Cunsafe-allow-abi-mismatch=fixed-x18)
	for note in $(cd "$lint" && find . -name '.pci_audit.o.cmd' -o -name '.vfio_pci_audit.o.cmd'); do
		# It takes no --env-set, and needs none of what is about the output.
		command=$(sed -n '1s/^[^=]*:= //p' "$lint/$note" |
			sed -E 's, [^ ]*/(rustc|clippy-driver) , rustdoc ,; s, ;.*,,
				s, (--emit=|-Zbinary_dep_depinfo=)[^ ]*,,g
				s, --out-dir [^ ]*,,; :next; s,^(.*) --env-set=([^ ]*),\2 \1,; t next')
		output=$(cd "$lint" && RUSTC_BOOTSTRAP=1 PATH=$(dirname "$RUSTC"):$PATH \
			bash -c "$command \"\$@\"" rustdoc --document-private-items \
			-Arustdoc::private_intra_doc_links -Zunstable-options --output "$lint/doc" \
			"${modifiers[@]}" 2>&1) || rc=1
		! grep -E -A 12 '^(warning|error)' <<<"$output" || rc=1
	done
	[ -d "$lint/doc" ] || rc=1
	return $rc
}
