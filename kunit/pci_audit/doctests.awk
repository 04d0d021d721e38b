# SPDX-License-Identifier: GPL-2.0
#
# Makes KUnit tests of the examples in doc comments. The kernel does so for its own crate only. As
# there, each block is a function that may use `?`, and a line after "# " is compiled and not shown;
# `device` is a PCI device.

BEGIN { print "#[kunit_tests(pci_audit_doc)]\nmod doc {\n    use super::*;" }

FNR == 1 {
	file = FILENAME
	gsub(/.*\/|\.rs$/, "", file)
}

!/^ *\/\/[\/!]/ { next }

{ sub(/^ *\/\/[\/!] ?/, "") }

/^```/ && !inside {
	inside = 1
	taken = ($0 == "```")
	if (taken) {
		printf "\n    #[test]\n    fn %s_line_%d() {\n", file, FNR
		print "        fn example(device: &pci::Device) -> Result {"
	}
	next
}

/^```/ {
	inside = 0
	if (taken)
		print "            Ok(())\n        }\n        assert_eq!(example(&any_device()), Ok(()));\n    }"
	next
}

inside && taken {
	sub(/^# /, "")
	print "            " $0
}

END { print "}" }
