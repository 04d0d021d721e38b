# SPDX-License-Identifier: GPL-2.0
#
# Everything there is to do, each with its set-up. The modules' own Makefiles are in src/.

export KDIR KERNEL ACCEL JOBS V LONG DEBUG FRONT RELEASE CONFIG
HOURS ?= 8
# Options given to make, such as CONFIG_SAMPLE_PCI_AUDIT_C=m, choose modules for a stock kernel.
export MODULES_CONFIG := $(foreach option,$(filter CONFIG_%,$(.VARIABLES)),$(option)=$($(option)))

.PHONY: help run stock run-stock fits arm64 observe run-observe test host-test kunit e2e crash
.PHONY: fuzz-kernel soak bench lint series deb deb-tool test-deb-tool shell clean

help:
	@echo 'make run        set everything up and show it: accesses allowed, blocked, exempted, and a'
	@echo '                real guest'
	@echo 'make stock      build the modules for an unmodified kernel of Debian (RELEASE=, as uname -r'
	@echo '                has it; CONFIG_SAMPLE_PCI_AUDIT_C=m and other options of the Kconfig files'
	@echo '                choose more modules)'
	@echo 'make fits       whether the series and the livepatch fit a tree (KDIR=) or a kernel of'
	@echo '                Debian (RELEASE=), and why not'
	@echo 'make arm64      both modules compiled for arm64, with LLVM and with GCC, and for s390; in'
	@echo '                QEMU, their KUnit suites and the kselftest on arm64 with an SMMUv3'
	@echo 'make run-stock  show them in that kernel, loaded while a guest runs'
	@echo 'make run-observe  show vfio-pci-audit observe, which needs no module, in the kernel of'
	@echo '                Debian 13: 5 minutes the first time'
	@echo 'make observe    its scenarios on kernels of Debian as they are: 6.1, 6.12, and 7.3 with the'
	@echo '                module to compare with'
	@echo 'make test       all tests: lint, host-test, kunit, e2e and more; ends with'
	@echo '                "N passed, N failed"'
	@echo 'make host-test  the files that import only core, with their coverage, and the host tools'
	@echo 'make kunit      the KUnit suites of both modules, with kunit.py in QEMU'
	@echo 'make e2e        the end-to-end scenarios in a VM (LONG=1: the long ones too; DEBUG=1: see'
	@echo '                below)'
	@echo 'make crash      machines that die after the write of a guest: is it named at the next'
	@echo '                boot?'
	@echo 'make soak       hours of mixed load while everything around it changes: exact accounts, a'
	@echo '                bounded log, flat memory (HOURS=8, fractions too; SEED= repeats a run)'
	@echo 'make fuzz-kernel  accesses, parameters and audit control, guided by what they pass in a'
	@echo '                kernel with KASAN, lockdep and KCOV (FUZZ_SECONDS=3600; takes a nightly'
	@echo '                toolchain of rustup)'
	@echo 'make bench      what an access costs, in instructions: table, charts and targets in'
	@echo '                build/bench (UPDATE=1: and in Documentation)'
	@echo 'make lint       formatting, checkpatch, W=1, clippy, sparse, rustdoc, Sphinx and more'
	@echo 'make series     a mail-ready patch series in build/series, each patch of it built (10'
	@echo '                minutes the first time)'
	@echo 'make deb        Debian packages of a kernel with it, configured as the running one or by'
	@echo '                CONFIG=FILE, in build/deb'
	@echo 'make deb-tool   Debian packages of the tool for operators, and of the modules with dkms, in'
	@echo '                build/deb-tool'
	@echo 'make test-deb-tool  lintian on them, and a try in fresh systems of Debian 12 and 13'
	@echo 'make shell      an interactive VM: a device bound, auditd running, commands to try'
	@echo 'make clean      remove build/'
	@echo
	@echo 'KDIR=DIR        use this kernel tree instead of a fetched one (scripts/graft.sh --remove'
	@echo '                DIR undoes it)'
	@echo 'KERNEL=7.3      the version to fetch'
	@echo 'ACCEL=tcg|kvm   emulate (the default), or use hardware virtualisation'
	@echo 'JOBS=N          parallel jobs (default: one for each processor)'
	@echo 'V=1             show the output of long steps'
	@echo "FRONT=stock     e2e: on Debian's own kernel, with vfio_pci_audit as a livepatch"
	@echo 'DEBUG=1         e2e: on a kernel with KASAN, UBSAN, lockdep, kmemleak and fault injection,'
	@echo '                what allocates and frees most; with FRONT=stock, the livepatch'

run:
	@scripts/lab.sh run

stock:
	@scripts/setup.sh stock
	@scripts/build-stock.sh >/dev/null

arm64:
	@scripts/lab.sh arm64

fits:
	@scripts/lab.sh fits

run-stock:
	@scripts/lab.sh run --stock

observe:
	@scripts/lab.sh build setup-stock audit unpatched-audit
	@scripts/lab.sh observe

run-observe:
	@scripts/lab.sh run-observe

test:
	@scripts/lab.sh test

host-test:
	@scripts/setup.sh vm kernel check
	@scripts/host-test.sh

kunit:
	@scripts/lab.sh build setup y
	@scripts/lab.sh kunit

# What the scenarios need, by DEBUG and FRONT.
long := $(filter-out 0,$(LONG))
needs- := setup audit unpatched-audit m qemu guest unpatched $(if $(long),dpdk)
needs-stock := setup-stock audit unpatched-audit $(if $(long),qemu)
needs-debug- := setup audit debug
needs-debug-stock := setup audit debug-stock

e2e:
	@scripts/lab.sh build $(needs-$(if $(filter-out 0,$(DEBUG)),debug-)$(filter stock,$(FRONT)))
	@scripts/e2e.sh

crash:
	@scripts/lab.sh build setup m tools
	@scripts/crash.sh

soak:
	@scripts/lab.sh build setup audit m qemu guest
	@scripts/lab.sh soak --hours $(HOURS) $(if $(SEED),--seed $(SEED))

fuzz-kernel:
	@scripts/lab.sh build setup audit debug
	@scripts/fuzz.sh accesses
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),3600) scripts/e2e.sh --on debug --long --only fuzzing/

bench:
	@scripts/lab.sh bench

lint:
	@scripts/setup.sh vm kernel check deny
	@scripts/lab.sh build y
	@scripts/lab.sh check lint

series:
	@scripts/setup.sh
	@scripts/lab.sh series
	@scripts/lab.sh check series

deb:
	@scripts/setup.sh kernel deb
	@scripts/deb.sh

deb-tool:
	@scripts/setup.sh deb-tool
	@scripts/deb-tool.sh

test-deb-tool:
	@scripts/lab.sh check deb-tool

shell:
	@scripts/lab.sh shell

clean:
	rm -rf build
