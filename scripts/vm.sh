#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Boot a kernel in QEMU on the host's own root file system, and run a command in it as root.
#
#	vm.sh [options] [--] COMMAND [ARG...]
#	vm.sh [options] --interactive
#
#	--kernel BZIMAGE   the kernel to boot (default: build/linux/m/arch/x86/boot/bzImage); one in a lib/modules folder boots with
#	                   those modules
#	--cpus N           virtual CPUs (default 2)
#	--memory M         memory (default 2G)
#	--append ARGS      more kernel arguments; may be given several times
#	--qemu ARGS        more arguments of QEMU's; may be given several times
#	--icount           one CPU whose time-stamp counter counts instructions
#	--parallel         emulate the processors at the same time, not in turns (see below)
#	--interactive      a shell on this terminal instead of a command
#	--timeout SECONDS  kill a VM that takes longer (default 900)
#	--name NAME        the log is build/log/vm-NAME.log (default: the command's name)
#	--allow REGEX      kernel complaints that are expected (extended regular expression)
#
# The exit code is the command's own, except: 124, it took longer than --timeout; 70, the kernel
# complained (BUG, Oops, WARNING, panic, lockdep) or died. ACCEL=kvm uses hardware virtualisation;
# emulation (tcg) is the default.
#
# Standard output and error are the command's, live; its standard input is empty. The kernel's
# messages are in the log only. The host's files are visible, changes to them are lost at the end,
# except under build/.
#
# The devices to try VFIO on, each in an IOMMU group of its own:
#
#	0000:01:00.0  8086:10d3  e1000e, 4096 bytes of configuration space, behind a PCIe root port
#	0000:02:00.0  8086:10d3  e1000e, the same
#	0000:03:00.0  1234:11e8  edu, a conventional device, 256 bytes, behind a PCIe root port
#	0000:04:00.0  1b36:0010  nvme, 4096 bytes, behind a PCIe root port
#	0000:00:1e.0  8086:100e  e1000, a conventional device, 256 bytes, on the root bus
. "$(dirname "$0")/lib.sh"

kernel=$BUILD/linux/m/arch/x86/boot/bzImage
cpus=2 memory=2G timeout=900 name='' allow='' icount=0 parallel=0 interactive=0 extra=()
# An emulated TSC is calibrated wrongly on a busy host, by a factor even: tell the time by the HPET.
# There, too, a test of the timer's interrupt may wait in vain, which is a panic.
append=(root=/dev/root tsc=unstable no_timer_check intel_iommu=on audit=1 loglevel=7 printk.time=1)

while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=$2; shift ;;
	--cpus) cpus=$2; shift ;;
	--memory) memory=$2; shift ;;
	--append) append+=("$2"); shift ;;
	--timeout) timeout=$2; shift ;;
	--name) name=$2; shift ;;
	--allow) allow=$2; shift ;;
	--qemu) extra+=("$2"); shift ;;
	--icount) icount=1 cpus=1 ;;
	--parallel) parallel=1 ;;
	--interactive) interactive=1 ;;
	--) shift; break ;;
	-*) die "vm.sh: unknown option $1" ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || [ "$interactive" = 1 ] || die "vm.sh: no command given"
[ -r "$kernel" ] || die "no kernel at $kernel: build one first"
[ -x "$BUILD/venv/bin/vng" ] || die "virtme-ng is missing: run scripts/setup.sh first"

# With a host thread for each processor, QEMU's own races end the VM every few hundred tests: a
# processor that is at a device's register while another has the register remapped (any reset of a
# PCI device does) takes QEMU down, or loses an interrupt and hangs for ever; and a breakpoint that
# a livepatch set in __schedule() for a moment was hit after it had gone ("Oops: int3"). One thread
# for all it is.
tcg=tcg,thread=single
[ "$parallel" = 0 ] || tcg=tcg,thread=multi
modules=(--skip-modules)
[[ $kernel != */lib/modules/* ]] || modules=()
name=${name:-$(basename "${1:-shell}")}
log=$BUILD/log/vm-$name.log

qemu=(-machine "q35,kernel-irqchip=split" -device "intel-iommu,intremap=on,caching-mode=on")
case ${ACCEL:-tcg} in
tcg) vng=(--disable-kvm) && qemu+=(-accel "$tcg") ;;
kvm)
	[ -w /dev/kvm ] || die "ACCEL=kvm, but /dev/kvm cannot be used"
	[ "$icount" = 0 ] || die "instructions can be counted with ACCEL=tcg only"
	vng=()
	;;
*) die "ACCEL is tcg or kvm, not $ACCEL" ;;
esac
[ "$icount" = 0 ] || qemu+=(-icount "shift=0,sleep=off")
for port in 1 2 3 4; do
	qemu+=(-device "pcie-root-port,id=port$port,bus=pcie.0,addr=0x1$port,chassis=$port,slot=$port")
done
for nic in 1 2 5; do
	qemu+=(-netdev "user,id=net$nic,restrict=on")
done
qemu+=(
	-device "e1000e,bus=port1,netdev=net1"
	-device "e1000e,bus=port2,netdev=net2"
	-device "edu,bus=port3"
	-blockdev "driver=null-co,node-name=null,size=67108864,read-zeroes=on" -device "nvme,bus=port4,serial=null,drive=null"
	-device "e1000,bus=pcie.0,addr=0x1e,netdev=net5"
)
qemu+=("${extra[@]}")

if [ "$interactive" = 1 ]; then
	: >"$log"
	PATH=$BUILD/venv/bin:$PATH exec vng --run "$kernel" "${vng[@]}" "${modules[@]}" --disable-microvm --force-9p --cpus "$cpus" \
		--memory "$memory" --user root --rwdir "$BUILD" --cwd "$TOP" --append "${append[*]}" \
		--qemu-opts="${qemu[*]} -set chardev.dmesg.path=$log"
fi

run=$(mktemp -d "$BUILD/vm.XXXXXX")
trap 'rm -rf "$run"' EXIT

# Inside, the command's output goes through pipes to ports of its own: virtme-ng's need udev, which
# a small host has not, and a port cannot be opened twice, as /dev/stderr would. What the command
# leaves running is killed, for the pipes to end.
cat >"$run/inside" <<-END
	port() { for p in /sys/class/virtio-ports/*; do [ "\$(<"\$p/name")" != "\$1" ] || echo "/dev/\${p##*/}"; done; }
	exec </dev/null 3> >(exec cat >"\$(port vm.out)" 2>/dev/null)
	out=\$!
	exec 4> >(exec cat >"\$(port vm.err)" 2>/dev/null 3>&-)
	err=\$!
	ln -sf /proc/self/fd/0 /dev/stdin
	ln -sf /proc/self/fd/1 /dev/stdout
	ln -sf /proc/self/fd/2 /dev/stderr
	export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin BUILD=$(printf %q "$BUILD")
	cd $(printf %q "$TOP")
	$(printf '%q ' "$@") >&3 2>&4 3>&- 4>&-
	echo \$? >$(printf %q "$run/code")
	exec 3>&- 4>&-
	for p in /proc/[1-9]*; do
		case " 1 \$\$ \$PPID \$out \$err " in
		*" \${p#/proc/} "*) ;;
		*) kill -KILL "\${p#/proc/}" 2>/dev/null ;;
		esac
	done
	wait "\$out" "\$err"
END
mkfifo "$run/out" "$run/err"
qemu+=(
	-device "virtio-serial-pci,id=vm"
	-chardev "file,id=vmout,path=$run/out" -device "virtserialport,bus=vm.0,name=vm.out,chardev=vmout"
	-chardev "file,id=vmerr,path=$run/err" -device "virtserialport,bus=vm.0,name=vm.err,chardev=vmerr"
	-set "chardev.console.path=$log"
)

cat "$run/out" &
readers=($!)
cat "$run/err" >&2 &
readers+=($!)
# Open both for writing until the VM has ended, whether or not it came to opening them.
exec 3>"$run/out" 4>"$run/err"

rc=0
: >"$log"
PATH=$BUILD/venv/bin:$PATH timeout -k 5 "$timeout" vng --run "$kernel" "${vng[@]}" "${modules[@]}" --disable-microvm --force-9p \
	--cpus "$cpus" --memory "$memory" --rwdir "$BUILD" --cwd "$TOP" --append "${append[*]}" --qemu-opts="${qemu[*]}" \
	--exec "bash $run/inside" </dev/null >"$run/vng" 2>&1 3>&- 4>&- &
vm=$!
trap 'kill "$vm" 2>/dev/null || true; rm -rf "$run"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
wait "$vm" || rc=$?
exec 3>&- 4>&-
wait "${readers[@]}" || true
sed -i 's/\r$//' "$log"

complaints='BUG:|Oops:|WARNING: |kernel BUG at|Kernel panic|general protection fault|UBSAN:|KASAN:|blocked for more than'
if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
	say "error: vm: killed, since '$*' took longer than $timeout s; the kernel's last messages, from $log:"
	tail -n 15 "$log" >&2
	exit 124
fi
if grep -nE "$complaints" "$log" | grep -vE '\] virtme-(ng-)?init: ' | grep -vE "${allow:-^$}" >"$run/complaints"; then
	say "error: vm: the kernel complained, see $log:"
	head -n 5 "$run/complaints" >&2
	exit 70
fi
if ! [ -s "$run/code" ]; then
	say "error: vm: it ended before '$*' did; virtme-ng's last words, then the kernel's, from $log:"
	say "virtme-ng's exit code: $rc; what became of QEMU: $(dmesg 2>/dev/null | grep qemu-system | tail -n 1)"
	tail -n 10 "$run/vng" "$log" >&2
	exit 70
fi
exit "$(cat "$run/code")"
