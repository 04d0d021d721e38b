#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build audit-userspace with the patches of patches/audit-userspace into build/audit and print where
# it is. Nothing goes onto the host: sources are fetched through a private apt into build/audit-src,
# and the prefix holds programs, plugins and etc/audit.
#
#   build-audit.sh [--newest] [--check] [--unpatched]
#
# --newest     take the newest 4.x of Debian unstable instead of Debian stable's, into
#              build/audit-newest
# --check      run audit-userspace's own test suite too, with our tests in it
# --unpatched  build auditd and ausearch without the patches too, into build/audit-unpatched, and
#              print where that is
# AUDIT_SUITE=  the Debian suite to take the source from; unless it is given, the next suite follows
#               where a mirror does not hold
#               the version that stable's index names, or where the patches do not apply to it
. "$(dirname "$0")/lib.sh"

suites=(trixie forky sid)
prefix=$BUILD/audit check='' unpatched=''
for arg; do
	case $arg in
	--newest) suites=(sid forky) prefix=$BUILD/audit-newest ;;
	--check) check=1 ;;
	--unpatched) unpatched=$BUILD/audit-unpatched ;;
	*) die "usage: build-audit.sh [--newest] [--check] [--unpatched]" ;;
	esac
done
[ -z "${AUDIT_SUITE:-}" ] || suites=("$AUDIT_SUITE")
name=$(basename "$prefix")
patches=("$TOP"/patches/audit-userspace/*.patch)
key=$({ echo "${suites[*]}" && echo "$prefix" && cat "$0" "${patches[@]}"; } | sha256sum |
	cut -c1-16)

is() { [ -e "$1" ] && [ "$(cat "$1")" = "$key" ]; }
if [ -z "$check" ] && is "$prefix/.stamp" && { [ -z "$unpatched" ] ||
	is "$unpatched/.stamp"; }; then
	echo "${unpatched:-$prefix}"
	exit
fi

# One orig tarball of $suite in $src; apt verifies it against the signed index.
fetch() {
	local version
	private_apt "audit-$suite" deb-src "$suite" ||
		die "no Debian mirror in the system's apt sources"
	step "$name-index" "reading the source index of $suite" apt-get "${apt_private[@]}" update
	version=$(apt-cache "${apt_private[@]}" showsrc --only-source audit |
		sed -n 's/^Version: //p' |
		grep -E '^([0-9]+:)?4\.' | sort -V | tail -n 1 || true)
	[ -n "$version" ] || die "the source index of $suite names no audit 4.x"
	mkdir -p "$src"
	cd "$src"
	step "$name-download" "downloading the source of audit $version" apt-get \
		"${apt_private[@]}" \
		-o APT::Sandbox::User=root source --tar-only --download-only "audit=$version"
	cd "$TOP"
}

orig() { find "$BUILD/audit-src/$suite" -maxdepth 1 -name 'audit_4.*.orig.tar.*' 2>/dev/null |
	sort -V | tail -n 1 || true; }

# The patch that adds tests touches Makefiles that change from version to version: a build that is
# not to be tested does without.
apply() {
	local patch
	for patch in "${patches[@]}"; do
		case $patch in *-tests-*) [ "$1" = tests ] || continue ;; *) [ "$1" = code ] ||
			continue ;; esac
		patch -d "$work" -p1 --no-backup-if-mismatch -i "$patch" \
			>>"$BUILD/log/$name-patch.log" 2>&1 || return 1
	done
}

# The source of $suite in $work, with the patches.
unpack() {
	tarball=$(orig)
	[ -n "$tarball" ] || (fetch) || {
		say "    no audit source from $suite: its index may name a version that the mirror no longer" \
			"holds"
		return 1
	}
	tarball=$(orig)
	version=${tarball##*/audit_} version=${version%.orig.tar.*}
	work=$src/audit-$version
	is "$work/.built" && return
	rm -rf "$work"
	mkdir -p "$work"
	tar -xf "$tarball" -C "$work" --strip-components=1
	: >"$BUILD/log/$name-patch.log"
	apply code || {
		say "    the patches do not apply to audit $version of $suite (log: build/log/$name-patch.log)"
		return 1
	}
}

# A second build of a version, as the unpatched one is, compiles little that is new.
if command -v ccache >/dev/null; then
	export CC="ccache gcc" CCACHE_DIR=${CCACHE_DIR:-$BUILD/ccache} CCACHE_NOHASHDIR=1
fi

found=''
for suite in "${suites[@]}"; do
	src=$BUILD/audit-src/$suite
	if unpack; then
		found=1
		break
	fi
done
[ -n "$found" ] || die "no audit source from ${suites[*]}: try again later, or another suite" \
	"with AUDIT_SUITE="

if ! is "$work/.built"; then
	cd "$work"
	step "$name-configure" "configuring audit $version" sh -c \
		'autoreconf -fi && ./configure "$@"' configure \
		--prefix="$prefix" --sysconfdir="$prefix/etc" --runstatedir=/run --without-python3 \
		--without-golang \
		--disable-zos-remote --disable-gssapi-krb5 --with-io_uring
	step "$name-make" "building audit $version" make -j"$JOBS"
	cd "$TOP"
	echo "$key" >"$work/.built"
fi

if [ -n "$check" ]; then
	if [ ! -e "$work/.tests" ]; then
		rm "$work/.built"
		apply tests || die "our tests do not apply to audit $version, see build/log/$name-patch.log"
		touch "$work/.tests"
		echo "$key" >"$work/.built"
	fi
	step "$name-check" "testing audit $version" make -C "$work" -j"$JOBS" -k check
fi

if ! is "$prefix/.stamp"; then
	rm -rf "$prefix"
	step "$name-install" "installing audit $version into build/$name" make -C "$work" install
	# The plugins' configuration names programs of the host.
	sed -i -e "s!/\(usr/\)\?sbin/!$prefix/sbin/!" -e \
		"s!allowlist /etc/audit/!allowlist $prefix/etc/audit/!" \
		"$prefix"/etc/audit/plugins.d/*.conf
	echo "$key" >"$prefix/.stamp"
fi
say "    audit: $("$prefix/sbin/auditctl" -v)"

# Only what the two programs are linked from, and that statically.
make_unpatched() {
	local dir
	for dir in common lib auparse audisp src/libev; do
		make -C "$1/$dir" -j"$JOBS" LIBTOOLFLAGS=--tag=disable-shared all-am || return
	done
	make -C "$1/src" -j"$JOBS" LDFLAGS=-static auditd ausearch
}

# The files that the patches change, as they were, in a copy of what is built: no need to configure
# and build it all again.
if [ -n "$unpatched" ] && ! is "$unpatched/.stamp"; then
	copy=$work.unpatched
	rm -rf "$copy" "$unpatched"
	cp -a "$work" "$copy"
	mapfile -t changed < <(sed -n 's!^+++ b/!!p' "${patches[@]}" | sort -u)
	top=$(tar -tf "$tarball" | head -n 1 | cut -d/ -f1 || true)
	for file in "${changed[@]}"; do
		if tar -tf "$tarball" "$top/$file" >/dev/null 2>&1; then
			tar -xmf "$tarball" -C "$copy" --strip-components=1 "$top/$file"
		else
			rm -f "$copy/$file"
		fi
	done
	step audit-unpatched "building audit $version without the patches" make_unpatched "$copy"
	mkdir -p "$unpatched/sbin"
	cp "$copy/src/auditd" "$copy/src/ausearch" "$unpatched/sbin/"
	rm -rf "$copy"
	echo "$key" >"$unpatched/.stamp"
fi
echo "${unpatched:-$prefix}"
