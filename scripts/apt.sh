# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What lib.sh has for installing and fetching Debian's packages.

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

# unpack_packages FOLDER PACKAGE...: fetch packages from what private_apt read, and unpack them in
# FOLDER.
unpack_packages() {
	local folder=$1 package
	shift
	mkdir -p "$folder/debs"
	(cd "$folder/debs" &&
		apt-get "${apt_private[@]}" -o APT::Sandbox::User=root download "$@")
	for package in "$folder"/debs/*.deb; do dpkg-deb -x "$package" "$folder"; done
	rm -r "$folder/debs"
}
