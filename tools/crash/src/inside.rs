// SPDX-License-Identifier: GPL-2.0

//! The first process of the machine: the host, its libvirt and its operator in one.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{bail, ensure, Context, Result};
use pci_audit_core::access::Op;
use pci_audit_core::kept::{Kept, Slot, LINE};
use pci_config::{ConfigMap, CONVENTIONAL};
use rustix::mount::{mount, MountFlags};
use rustix::system::{reboot, RebootCommand};
use serde_json::json;

use crate::case::{Case, DEVICES, DONE, GUEST, WRITTEN};
use crate::guest::{firmware, Write};

/// What is shared with the host, and kept when the machine dies.
const SHARE: &str = "/run/crash";
/// The accesses that the module keeps.
const KEPT: &str = "/sys/kernel/debug/pci_audit/this_boot";
/// What saves what was kept, at each boot.
const UNIT: &str = "packaging/vfio-pci-audit-last-boot.service";
/// What rasdaemon's trigger says.
const TRIGGERED: &str = "triggered.txt";
/// The events that rasdaemon waits for.
const RAS_EVENTS: &str = "/sys/kernel/tracing/instances/rasdaemon/events";
/// The slots of the devices in the guest.
const SLOTS: [u8; 2] = [5, 6];
const PATIENCE: Duration = Duration::from_secs(400);

/// Live, and switch the machine off.
pub(crate) fn main() -> ! {
    if let Err(error) = live() {
        println!("crash: failed: {error:#}");
    }
    println!("{DONE}");
    // The host has to have read that.
    std::thread::sleep(Duration::from_secs(1));
    let _ = reboot(RebootCommand::PowerOff);
    // The kernel panics when its first process ends, and so does not end.
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

struct Machine {
    case: Case,
    top: PathBuf,
    build: PathBuf,
    rasdaemon: Option<PathBuf>,
}

fn mount_all() -> Result<()> {
    let flags = MountFlags::empty();
    for (kind, place) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
    ] {
        mount(kind, place, kind, flags, None).with_context(|| place.to_owned())?;
    }
    // The kernel may have done so by itself.
    let _ = mount("devtmpfs", "/dev", "devtmpfs", flags, None);
    // Scripts hand over pipes by it.
    let _ = std::os::unix::fs::symlink("/proc/self/fd", "/dev/fd");
    fs::create_dir_all(SHARE)?;
    mount(
        "crash",
        SHARE,
        "9p",
        flags,
        Some(c"trans=virtio,version=9p2000.L,access=any"),
    )
    .context(SHARE)?;
    mount("debugfs", "/sys/kernel/debug", "debugfs", flags, None).context("debugfs")
}

fn live() -> Result<()> {
    mount_all()?;
    let line = fs::read_to_string("/proc/cmdline")?;
    let words: HashMap<&str, &str> = line
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .collect();
    let word = |name: &str| {
        words
            .get(name)
            .copied()
            .with_context(|| format!("no {name}="))
    };
    let machine = Machine {
        case: Case::of_name(word("crash_case")?).context("no such case")?,
        top: word("crash_top")?.into(),
        build: word("crash_build")?.into(),
        rasdaemon: words.get("crash_rasdaemon").map(PathBuf::from),
    };
    let boots = share("boots");
    let before = fs::read_to_string(&boots).unwrap_or_default().len();
    fs::write(&boots, "x".repeat(before + 1))?;
    match before {
        0 => machine.first(),
        1 => machine.second(),
        _ => bail!("the machine was booted {} times", before + 1),
    }
}

fn share(file: &str) -> PathBuf {
    Path::new(SHARE).join(file)
}

impl Machine {
    /// A guest writes, and the device has an error.
    fn first(&self) -> Result<()> {
        self.modules("load")?;
        for device in DEVICES {
            bind(device)?;
        }
        let used = match self.case {
            Case::Innocent => DEVICES.len(),
            Case::Fatal | Case::NonFatal => 1,
        };
        let rasdaemon = match (self.case, &self.rasdaemon) {
            (Case::NonFatal, Some(program)) => Some(self.rasdaemon(program)?),
            _ => None,
        };
        let offset = unassigned(DEVICES[0])?;
        let _guest = guest(&DEVICES[..used], offset)?;
        wait("the guest writes", || {
            let kept = kept()?;
            let written = |device: &str| {
                kept.iter()
                    .any(|kept| kept.op == Op::Write && is_at(kept, device, offset))
            };
            Ok(DEVICES[..used].iter().all(|device| written(device)))
        })?;
        let expected = json!({ "offset": offset, "written": milliseconds() });
        fs::write(share("expected.json"), expected.to_string())?;
        // What was written has to be on the host's disk before the machine dies.
        rustix::fs::sync();
        println!("{WRITTEN}");
        if self.case == Case::Fatal {
            let error = wait("the machine dies", || Ok(false));
            return error;
        }
        wait("an error", || {
            Ok(fs::read_to_string(share("console.log"))?.contains("Bus Error: severity="))
        })?;
        // Recovery, which vfio-pci tells its user of, is done when the port says so.
        std::thread::sleep(Duration::from_secs(2));
        if let Some(rasdaemon) = rasdaemon {
            wait("rasdaemon's trigger", || {
                Ok(fs::read_to_string(share(TRIGGERED))
                    .is_ok_and(|said| said.contains("Suspect: ")))
            })?;
            drop(rasdaemon);
        }
        let console = share("console.log").display().to_string();
        let files: &[&str] = match self.case {
            // The running kernel's own log.
            Case::NonFatal => &[],
            _ => &[&console],
        };
        self.tell("blame", &[&["blame"], files].concat())
    }

    /// The machine is up again.
    fn second(&self) -> Result<()> {
        let console = share("console.log").display().to_string();
        let last_boot = ["last-boot", "--kernel-log", &console];
        // The module is not loaded: what it keeps is not shown.
        self.tool("early.txt", &last_boot, 3)?;
        self.modules("load")?;
        self.tell("last-boot", &last_boot)?;
        let unit = fs::read_to_string(self.top.join(UNIT)).context(UNIT)?;
        let starts = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let words = starts
            .context("the unit starts nothing")?
            .split_whitespace();
        let save: Vec<&str> = words.skip(1).collect();
        self.tool("save.txt", &save, 0)?;
        self.modules("unload")?;
        self.tell("saved", &last_boot)?;
        // The boot is the same: it goes on, and the last one is still the last one.
        self.modules("load")?;
        self.tell("again", &last_boot)?;
        self.tool("save-again.txt", &save, 0)?;
        self.tell("blame", &["blame", &console])
    }

    /// Start rasdaemon with our trigger, whose programs are the tool and a logger that writes
    /// where the host looks.
    fn rasdaemon(&self, program: &Path) -> Result<Child> {
        let programs = Path::new("/run/bin");
        fs::create_dir_all(programs)?;
        let tool = "vfio-pci-audit";
        std::os::unix::fs::symlink(self.program(tool), programs.join(tool))?;
        let logger = programs.join("logger");
        let script = format!("#!/bin/sh\nexec cat >>{}\n", share(TRIGGERED).display());
        fs::write(&logger, script)?;
        fs::set_permissions(&logger, Permissions::from_mode(0o755))?;
        let flags = MountFlags::empty();
        mount("tracefs", "/sys/kernel/tracing", "tracefs", flags, None).context("tracefs")?;
        let log = File::create(share("rasdaemon.log"))?;
        let mut command = Command::new(program);
        let child = self
            .command(&mut command)
            .arg("--foreground")
            .env("PATH", "/run/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("TRIGGER_DIR", self.top.join("packaging"))
            .env("AER_UE_TRIGGER", "rasdaemon-blame")
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| program.display().to_string())?;
        wait("rasdaemon enables its events", || {
            let enabled = Path::new(RAS_EVENTS).join("ras/aer_event/enable");
            Ok(fs::read_to_string(enabled).is_ok_and(|enabled| enabled.starts_with('1')))
        })?;
        Ok(child)
    }

    /// Have the modules loaded, or unloaded.
    fn modules(&self, verb: &str) -> Result<()> {
        let mut lab = Command::new(self.program("lab"));
        lab.arg(verb).env("BUILD", &self.build);
        output(self.command(&mut lab)).map(drop)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.build.join("target/debug").join(name)
    }

    fn command<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .current_dir(&self.top)
            .stdin(Stdio::null())
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
    }

    /// Ask the operator's tool, which has to end so, and keep what it says.
    fn tool(&self, file: &str, arguments: &[&str], code: i32) -> Result<()> {
        let mut tool = Command::new(self.program("vfio-pci-audit"));
        tool.args(arguments).arg("--folder").arg(share("state"));
        let output = self.command(&mut tool).output().context("vfio-pci-audit")?;
        fs::write(share(file), &output.stdout)?;
        fs::write(share(&format!("{file}.err")), &output.stderr)?;
        ensure!(
            output.status.code() == Some(code),
            "vfio-pci-audit {arguments:?}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// The same for people and for programs.
    fn tell(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let log = share("audit.log").display().to_string();
        for (format, end) in [("text", "txt"), ("json", "json")] {
            let more = ["--audit-log", &log, "--format", format, "--utc"];
            self.tool(&format!("{name}.{end}"), &[arguments, &more].concat(), 0)?;
        }
        Ok(())
    }
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "{command:?}: {}: {}",
        output.status,
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

fn bind(device: &str) -> Result<()> {
    let folder = Path::new("/sys/bus/pci/devices").join(device);
    fs::write(folder.join("driver_override"), "vfio-pci").context("driver_override")?;
    // It may have no driver.
    let _ = fs::write(folder.join("driver/unbind"), device);
    fs::write("/sys/bus/pci/drivers_probe", device).context("drivers_probe")?;
    let driver = fs::read_link(folder.join("driver")).with_context(|| device.to_owned())?;
    ensure!(
        driver.ends_with("vfio-pci"),
        "{device} has {}",
        driver.display()
    );
    Ok(())
}

/// The accesses that the module has kept so far.
fn kept() -> Result<Vec<Kept>> {
    let bytes = fs::read(KEPT).context(KEPT)?;
    let lines = bytes.chunks_exact(LINE).skip(1).map(|line| {
        let mut words = line.chunks_exact(8);
        std::array::from_fn(|_| {
            let word = words.next().and_then(|word| word.try_into().ok());
            word.map_or(0, u64::from_ne_bytes)
        })
    });
    let kept = |line| match Slot::from_line(&line) {
        Slot::Kept(_, kept) => Some(kept),
        Slot::Empty | Slot::Damaged => None,
    };
    Ok(lines.filter_map(kept).collect())
}

fn is_at(kept: &Kept, device: &str, offset: u8) -> bool {
    let name = format!(
        "{:04x}:{:02x}:{:02x}.{}",
        kept.domain,
        kept.bus,
        kept.devfn >> 3,
        kept.devfn & 7
    );
    name == device && kept.range.offset() == usize::from(offset)
}

/// An unassigned dword that a guest reaches without extended configuration space.
fn unassigned(device: &str) -> Result<u8> {
    let config = fs::read(
        Path::new("/sys/bus/pci/devices")
            .join(device)
            .join("config"),
    )?;
    let map = ConfigMap::parse(&config)?;
    let runs = map.runs(0..CONVENTIONAL);
    let dword = runs.iter().rev().find_map(|run| {
        let start = run.start.next_multiple_of(4);
        (start + 4 <= run.end).then_some(start)
    });
    Ok(dword.context("no unassigned dword")?.try_into()?)
}

/// Start a guest that writes a dword of each device, the first one first, and say of it what
/// libvirt says.
fn guest(devices: &[&str], offset: u8) -> Result<Guest> {
    let writes: Vec<Write> = SLOTS[..devices.len()]
        .iter()
        .map(|&slot| Write {
            slot,
            offset,
            value: 0x5eed_0000,
        })
        .collect();
    fs::write("/run/firmware", firmware(&writes))?;
    let mut qemu = Command::new("/usr/bin/qemu-system-x86_64");
    qemu.args([
        "-accel",
        "tcg",
        "-machine",
        "pc",
        "-m",
        "16",
        "-nodefaults",
        "-no-user-config",
    ])
    .args(["-display", "none", "-bios", "/run/firmware"])
    .args(["-name", &format!("{GUEST},debug-threads=on")])
    .stdin(Stdio::null())
    // Its words would be in the middle of the kernel's on the console.
    .stderr(File::create(share("guest.log"))?);
    for (device, slot) in devices.iter().zip(SLOTS) {
        qemu.args([
            "-device",
            &format!("vfio-pci,host={device},addr={slot},rombar=0"),
        ]);
    }
    let guest = qemu.spawn().context("qemu-system-x86_64")?;
    let now = milliseconds();
    let record = format!(
        "type=VIRT_CONTROL msg=audit({}.{:03}:100): pid=1 uid=0 auid=4294967295 ses=4294967295 \
         msg='virt=kvm op=start reason=booted vm=\"{GUEST}\" \
         uuid=8f3b2c11-1c2d-4e5f-8a9b-0c1d2e3f4a5b vm-pid={} init-pid=0 \
         exe=\"/usr/sbin/libvirtd\" hostname=? addr=? terminal=? res=success'\n",
        now / 1000,
        now % 1000,
        guest.id()
    );
    fs::write(share("audit.log"), record)?;
    Ok(Guest(guest))
}

/// A guest, which ends with this.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn milliseconds() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis())
}

fn wait(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        ensure!(
            start.elapsed() < PATIENCE,
            "{what}: not within {} s",
            PATIENCE.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
