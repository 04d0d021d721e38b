#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the VM: a real audit daemon with a configuration of its own.
#
#	vm-auditd.sh start FOLDER [KEY=VALUE]...   log to FOLDER/audit.log; KEY=VALUE changes auditd.conf
#	vm-auditd.sh sync                          return when all that was recorded until now is in the log
#	vm-auditd.sh stop                          the same, then stop the daemon
#
# The log may be read with ausearch -if FOLDER/audit.log at once after sync. Whether auditing is on
# is left as it is. Rules, and the backlog's length, are the kernel's defaults. AUDIT is the folder
# that holds sbin/auditd (default: build/audit).
set -euo pipefail

die() { printf 'error: vm-auditd: %s\n' "$*" >&2; exit 1; }

top=$(cd "$(dirname "$0")/.." && pwd)
AUDIT=${AUDIT:-${BUILD:-$top/build}/audit}
export LD_LIBRARY_PATH=$AUDIT/lib
conf=/run/vm-auditd
[ -x "$AUDIT/sbin/auditd" ] || die "no $AUDIT/sbin/auditd: build the audit userspace first"

# status KEY: as auditctl -s tells.
status() { "$AUDIT/sbin/auditctl" -s | sed -n "s/^$1 //p"; }

# wait_for WHAT COMMAND...: until the command succeeds.
wait_for() {
	local what=$1 end=$((SECONDS + 60))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || die "$what: not within a minute; $(cat "$conf/output" 2>/dev/null)"
		sleep 0.1
	done
}
is_daemon() { local pid && pid=$(status pid) && [ "$pid" -gt 0 ] && [ "$(cat "/proc/$pid/comm")" = auditd ]; }
is_gone() { ! [ -e "/proc/$1/exe" ]; } # the VM's init may leave a zombie
is_drained() { [ "$(status backlog)" = 0 ]; }

# A mark of ours comes to the log after all that was recorded before it. None comes while auditing
# is off.
sync_log() {
	local log mark
	log=$(sed -n 's/^log_file = //p' "$conf/auditd.conf")
	wait_for "an empty backlog" is_drained
	if [ "$(status enabled)" != 0 ]; then
		mark=vm-auditd-sync-$$-$RANDOM
		"$AUDIT/sbin/auditctl" -m "$mark" >/dev/null
		wait_for "a mark in the log" grep -qs "$mark" "$log"
	fi
}

case ${1:-} in
start)
	[ $# -ge 2 ] || die "start wants the log's folder"
	# The kernel does not notice the end of one that crashed before it has something to say.
	! is_daemon || is_gone "$(status pid)" || die "a daemon runs already"
	mkdir -p "$conf/plugins.d" "$2"
	chmod 700 "$2"
	declare -A keys=(
		[log_file]=$2/audit.log [log_format]=RAW [log_group]=root [flush]=NONE [max_log_file]=1000
		[max_log_file_action]=IGNORE [name_format]=NONE [plugin_dir]=$conf/plugins.d [space_left]=2 [admin_space_left]=1
		[space_left_action]=IGNORE [admin_space_left_action]=IGNORE [disk_full_action]=IGNORE [disk_error_action]=IGNORE
		[verify_email]=no
	)
	for pair in "${@:3}"; do
		keys[${pair%%=*}]=${pair#*=}
	done
	for key in "${!keys[@]}"; do
		echo "$key = ${keys[$key]}"
	done >"$conf/auditd.conf"
	chmod 640 "$conf/auditd.conf"
	"$AUDIT/sbin/auditd" -c "$conf" -s nochange </dev/null >"$conf/output" 2>&1 || die "auditd: $(cat "$conf/output")"
	wait_for "the daemon's pid in the kernel" is_daemon
	;;
sync)
	sync_log
	;;
stop)
	sync_log
	pid=$(status pid)
	kill "$pid"
	wait_for "the daemon's end" is_gone "$pid"
	;;
*) die "the first word is start, sync or stop" ;;
esac
