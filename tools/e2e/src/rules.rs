// SPDX-License-Identifier: GPL-2.0

//! Audit rules as real hosts have them. Any rule for system calls gives every system call an audit
//! context.

/// A single watch, which no access to configuration space matches.
pub(crate) const WATCH: &[&str] = &["-w /etc/passwd -p wa -k identity"];

/// The rules that security guides recommend: changes of time, identities and permissions, refused
/// opens, modules, mounts, deletions.
///
/// None of them matches an access either. Rules about users exclude processes without a login
/// session, as in the guides.
pub(crate) const GUIDE: &[&str] = &[
    "-a always,exit -F arch=b64 -S adjtimex,settimeofday,clock_settime -k time-change",
    "-w /etc/passwd -p wa -k identity",
    "-w /etc/group -p wa -k identity",
    "-w /etc/shadow -p wa -k identity",
    "-a always,exit -F arch=b64 -S sethostname,setdomainname -k system-locale",
    "-a always,exit -F arch=b64 -S chmod,fchmod,fchmodat -F auid>=1000 -F auid!=unset -k perm_mod",
    "-a always,exit -F arch=b64 -S chown,fchown,fchownat,lchown -F auid>=1000 -F auid!=unset -k \
     perm_mod",
    "-a always,exit -F arch=b64 -S setxattr,lsetxattr,fsetxattr,removexattr -F auid>=1000 -F \
     auid!=unset -k perm_mod",
    "-a always,exit -F arch=b64 -S open,openat,creat,truncate,ftruncate -F exit=-EACCES -F \
     auid>=1000 -F auid!=unset -k access",
    "-a always,exit -F arch=b64 -S open,openat,creat,truncate,ftruncate -F exit=-EPERM -F \
     auid>=1000 -F auid!=unset -k access",
    "-a always,exit -F arch=b64 -S mount -F auid>=1000 -F auid!=unset -k mounts",
    "-a always,exit -F arch=b64 -S unlink,unlinkat,rename,renameat -F auid>=1000 -F auid!=unset \
     -k delete",
    "-a always,exit -F arch=b64 -S init_module,finit_module,delete_module -k modules",
    "-a always,exit -F path=/usr/bin/su -F perm=x -F auid>=1000 -F auid!=unset -k privileged",
];
