// SPDX-License-Identifier: GPL-2.0

//! The end-to-end scenarios, each kind on the kernel that it is for.

use std::env;

use anyhow::Result;
use clap::{Args, ValueEnum};
use lab::paths::{given, is_set, Paths};
use lab::progress;
use lab::share::Share;
use lab::vm;

use crate::cli::prepare::{self, Stock};

/// What the scenarios run on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum On {
    /// VFIO as modules
    Modules,
    /// VFIO and its policy built in
    Builtin,
    /// A kernel without VFIO
    Novfio,
    /// Processors that are emulated at the same time: the scenarios where accesses race
    Parallel,
    /// A kernel that looks for mistakes: the scenarios that allocate and free most
    Debug,
    /// A kernel that looks for mistakes, with VFIO as it is and vfio_pci_audit as a livepatch
    DebugStock,
    /// Debian's own kernel, with vfio_pci_audit as a livepatch
    Stock,
}

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// What to run them on (FRONT=stock and DEBUG=1 in the environment choose, too)
    #[arg(long, value_enum)]
    on: Option<On>,
    /// Run only scenarios whose name contains this; may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Run only a share of them, such as 1/2, and another machine the other
    #[arg(long, value_name = "NUMBER/SHARES")]
    share: Option<Share>,
    /// Run the long scenarios as well (LONG=1 does, too)
    #[arg(long)]
    long: bool,
    /// Have the inner guest run Debian's own kernel, which has more drivers than the test kernel
    #[arg(long)]
    stock_guest: bool,
    /// Do not build the scenarios and what they run
    #[arg(long)]
    pub(crate) no_build: bool,
}

impl Arguments {
    /// Those whose name contains one of the patterns.
    pub(crate) fn only(on: On, patterns: Vec<String>) -> Self {
        Self {
            on: Some(on),
            only: patterns,
            share: None,
            long: false,
            stock_guest: false,
            no_build: false,
        }
    }

    /// The same, long scenarios among them.
    pub(crate) fn long(on: On, patterns: Vec<String>) -> Self {
        Self {
            long: true,
            ..Self::only(on, patterns)
        }
    }
}

/// How a kind of them differs from the others.
struct Kind {
    name: &'static str,
    kernel: &'static str,
    only: &'static [&'static str],
    /// Those that run if none is named.
    default: &'static [&'static str],
    append: Option<&'static str>,
    allow: Option<&'static str>,
    load: &'static str,
    /// As QEMU has it, where the usual is too little.
    memory: Option<&'static str>,
}

/// KASAN reports more than once. With five levels of page tables, a kernel with it sometimes
/// reports accesses to its own shadow without end while it boots.
const KASAN: &str = "kasan_multi_shot no5lvl";

const MODULES: Kind = Kind {
    name: "e2e",
    kernel: "m",
    only: &[],
    default: &[],
    append: None,
    allow: None,
    load: "",
    memory: None,
};

impl On {
    fn kind(self) -> Kind {
        match self {
            Self::Modules => MODULES,
            Self::Stock => Kind {
                name: "e2e-stock",
                ..MODULES
            },
            // KUnit has its own turn. The rest is to be found again in sysfs, read from the command
            // line.
            Self::Builtin => Kind {
                name: "e2e-builtin",
                kernel: "y",
                only: &["builtin/"],
                append: Some(
                    "kunit.enable=0 vfio_pci_audit.block_pci_unassigned_write \
                     vfio_pci_audit.uaccess_allow_ids=8086:10d3,10DE:1eb8",
                ),
                ..MODULES
            },
            Self::Novfio => Kind {
                name: "e2e-novfio",
                kernel: "novfio",
                only: &["samples/"],
                load: "pci_audit",
                ..MODULES
            },
            Self::Parallel => Kind {
                name: "e2e-parallel",
                only: &["race/", "limits/"],
                ..MODULES
            },
            Self::DebugStock => Kind {
                name: "e2e-debug-stock",
                kernel: "debug-stock",
                default: &["livepatch/", "failing/first-access"],
                append: Some(KASAN),
                memory: Some("4G"),
                ..MODULES
            },
            // Linux's ACPI drops a reference that it did not get when it is short of memory, of
            // which the faults that are injected make sure.
            Self::Debug => Kind {
                name: "e2e-debug",
                kernel: "debug",
                default: &[
                    "leaks/rounds",
                    "leaks/load",
                    "faults/",
                    "sessions/",
                    "limits/burst",
                    "fuzzing/corpus",
                ],
                append: Some(KASAN),
                allow: Some(" in acpi_"),
                memory: Some("4G"),
                ..MODULES
            },
        }
    }

    fn chosen() -> Self {
        let stock = given("FRONT").is_some_and(|front| front == "stock");
        match (stock, is_set("DEBUG")) {
            (true, true) => Self::DebugStock,
            (true, false) => Self::Stock,
            (false, true) => Self::Debug,
            (false, false) => Self::Modules,
        }
    }
}

/// Run scenarios in a VM; their exit code.
pub(crate) fn run(paths: &Paths, arguments: &Arguments) -> Result<u8> {
    run_with(paths, arguments, None, &[])
}

/// The same, with more time for the VM and variables in their environment, `NAME=VALUE` each.
pub(crate) fn run_with(
    paths: &Paths,
    arguments: &Arguments,
    timeout: Option<u64>,
    variables: &[String],
) -> Result<u8> {
    let on = arguments.on.unwrap_or_else(On::chosen);
    let kind = on.kind();
    let name = match arguments.share {
        Some(share) => format!("{}-{}", kind.name, share.name()),
        None => kind.name.to_owned(),
    };
    let mut options = vm::Options {
        name: Some(name.clone()),
        kernel: Some(paths.image(kind.kernel)),
        timeout: 3000,
        allow: kind.allow.map(str::to_owned).into_iter().collect(),
        ..vm::Options::default()
    };
    options.machine.append = kind.append.map(str::to_owned).into_iter().collect();
    options.machine.parallel = on == On::Parallel;
    if let Some(memory) = kind.memory {
        options.machine.memory = memory.to_owned();
    }
    let mut environment = vec![format!(
        "OBJECTS={}",
        paths.build.join("linux").join(kind.kernel).display()
    )];
    let mut guest = None;
    match on {
        On::Modules | On::Parallel => {
            // What is compared with belongs to this kernel.
            environment.clear();
            guest = Some(paths.image("m"));
        }
        On::DebugStock => {
            environment = vec![format!(
                "STOCK={}",
                paths.build.join("stock/debug").display()
            )];
        }
        On::Debug | On::Stock | On::Builtin | On::Novfio => {}
    }
    if on == On::Stock || arguments.stock_guest {
        progress::run(paths, &[prepare::stock()])?;
        let stock = Stock::find(paths)?;
        guest = Some(stock.kernel.clone());
        if on == On::Stock {
            environment = vec![format!("STOCK={}", stock.folder.display())];
            options.kernel = Some(stock.kernel);
        } else {
            options.name = Some(format!("{name}-stock-guest"));
        }
    }
    if let Some(kernel) = guest {
        // The last guest may have had another kernel.
        progress::run(paths, &[prepare::guest(paths, &kernel)])?;
    }
    // For how long the fuzzer runs.
    if let Ok(seconds) = env::var("FUZZ_SECONDS") {
        environment.push(format!("FUZZ_SECONDS={seconds}"));
    }
    if !arguments.no_build {
        // All of them, as the other steps do: cargo builds what they share again for any other
        // choice.
        let build = prepare::cargo("e2e-build", "building the scenarios", &["build"]);
        progress::run(paths, &[build])?;
    }

    let mut patterns: Vec<String> = arguments.only.clone();
    if patterns.is_empty() {
        let all = kind.only.iter().chain(kind.default);
        patterns = all.map(|&word| word.to_owned()).collect();
    } else {
        patterns.extend(kind.only.iter().map(|&word| word.to_owned()));
    }
    let defaults_are_long = on == On::Debug && arguments.only.is_empty();
    let long = arguments.long || is_set("LONG") || defaults_are_long;
    if arguments.long || is_set("LONG") {
        options.timeout = 14400;
        if on == On::Stock {
            // Only a long scenario wants it, and only this kernel has its driver.
            options.machine.add_igb(paths);
        }
    }
    options.timeout = timeout.unwrap_or(options.timeout);
    let mut scenarios = vec![paths.tool("e2e").display().to_string()];
    scenarios.extend(long.then(|| "--long".to_owned()));
    for pattern in patterns {
        scenarios.extend(["--only".to_owned(), pattern]);
    }
    if let Some(share) = arguments.share {
        scenarios.extend(["--share".to_owned(), share.to_string()]);
    }

    // Modules that a kernel without VFIO has are loaded before.
    let mut command = vec!["env".to_owned()];
    command.extend(environment);
    command.extend(variables.iter().cloned());
    if kind.load.is_empty() {
        command.extend(scenarios);
    } else {
        let load = format!(
            "'{}' load {} && exec \"$@\"",
            paths.tool("lab").display(),
            kind.load
        );
        command.extend(["sh".to_owned(), "-c".to_owned(), load, "e2e".to_owned()]);
        command.extend(scenarios);
    }
    Ok(options.run(paths, &command)?)
}
