// SPDX-License-Identifier: GPL-2.0

//! The status as metrics, for the textfile collector of Prometheus' node exporter.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::status::{Session, Status};

/// An operation of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    op: &'static str,
}

/// What has a device open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Holder {
    device: String,
    vm: String,
    uuid: String,
}

/// Accesses of one operation with one result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Access {
    device: String,
    vm: String,
    uuid: String,
    op: &'static str,
    result: &'static str,
}

/// All metrics.
#[derive(Default)]
struct Metrics {
    loaded: Gauge,
    blocking: Family<Operation, Gauge>,
    exceptions: Gauge,
    rate: Gauge,
    burst: Gauge,
    sessions: Family<Holder, Gauge>,
    accesses: Family<Access, Counter>,
    records: Family<Holder, Counter>,
    suppressed: Family<Holder, Counter>,
    lost: Family<Holder, Counter>,
}

/// The text, as OpenMetrics wants it.
pub fn text(status: &Status) -> Result<String, fmt::Error> {
    let metrics = Metrics::default();
    let mut registry = Registry::with_prefix("vfio_pci_audit");
    metrics.register(&mut registry);
    metrics.fill(status);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Metrics {
    fn register(&self, to: &mut Registry) {
        to.register(
            "loaded",
            "Whether the module is loaded",
            self.loaded.clone(),
        );
        to.register(
            "blocking",
            "Whether accesses to unassigned bytes are blocked",
            self.blocking.clone(),
        );
        to.register(
            "exceptions",
            "Entries of uaccess_allow_ids",
            self.exceptions.clone(),
        );
        to.register(
            "rate_limit",
            "Records a second; 0 is no limit",
            self.rate.clone(),
        );
        to.register("burst_limit", "Records at once", self.burst.clone());
        to.register("sessions", "Open sessions", self.sessions.clone());
        to.register(
            "accesses",
            "Accesses to unassigned bytes in open sessions",
            self.accesses.clone(),
        );
        to.register(
            "records",
            "Accesses of open sessions that have a record of their own",
            self.records.clone(),
        );
        to.register(
            "suppressed",
            "Accesses of open sessions that were over the limit",
            self.suppressed.clone(),
        );
        to.register(
            "lost",
            "Accesses of open sessions whose record audit refused",
            self.lost.clone(),
        );
    }

    fn fill(&self, status: &Status) {
        self.loaded.set(i64::from(status.is_there()));
        if let Some(parameters) = &status.parameters {
            let get = |name: &str| parameters.get(name).map_or("", String::as_str);
            let number = |name: &str| get(name).parse().unwrap_or(0);
            for op in ["read", "write"] {
                let blocks = get(&format!("block_pci_unassigned_{op}")) == "Y";
                self.blocking
                    .get_or_create(&Operation { op })
                    .set(blocks.into());
            }
            let ids = get("uaccess_allow_ids")
                .split(',')
                .filter(|id| !id.is_empty());
            self.exceptions
                .set(ids.count().try_into().unwrap_or(i64::MAX));
            self.rate.set(number("audit_rate"));
            self.burst.set(number("audit_burst"));
        }
        for session in status.sessions.iter().flatten() {
            self.add(session);
        }
    }

    fn add(&self, session: &Session) {
        let (vm, uuid) = session.vm_names();
        let holder = Holder {
            device: label(&session.text("device")),
            vm: label(&vm),
            uuid: label(&uuid),
        };
        self.sessions.get_or_create(&holder).inc();
        for (family, name) in [
            (&self.records, "records"),
            (&self.suppressed, "suppressed"),
            (&self.lost, "lost"),
        ] {
            family.get_or_create(&holder).inc_by(session.number(name));
        }
        for (op, all, blocked) in [
            ("read", "reads", "blocked_reads"),
            ("write", "writes", "blocked_writes"),
        ] {
            let (all, blocked) = (session.number(all), session.number(blocked));
            for (result, count) in [
                ("allowed", all.saturating_sub(blocked)),
                ("blocked", blocked),
            ] {
                let Holder { device, vm, uuid } = holder.clone();
                let access = Access {
                    device,
                    vm,
                    uuid,
                    op,
                    result,
                };
                self.accesses.get_or_create(&access).inc_by(count);
            }
        }
    }
}

/// The value of a label. The encoder leaves it as it is, and a virtual machine may have any name.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
