// SPDX-License-Identifier: GPL-2.0

//! Tells systemd that observing has begun, as `sd_notify(3)` does.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable with the socket on which systemd listens.
pub const SOCKET: &str = "NOTIFY_SOCKET";

/// Say on a socket that the service is ready; one whose name begins with `@` is no file.
pub fn ready(socket: &OsStr) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(b"READY=1", &address)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> Vec<u8> {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        bytes[..length].to_vec()
    }

    #[test]
    fn systemd_is_told_by_a_file_or_by_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        ready(path.as_os_str()).unwrap();
        assert_eq!(heard(&socket), b"READY=1");

        let name = format!("vfio-pci-observe-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        ready(OsStr::new(&format!("@{name}"))).unwrap();
        assert_eq!(heard(&socket), b"READY=1");

        drop(socket);
        assert!(ready(OsStr::new(&format!("@{name}"))).is_err());
        assert!(ready(OsStr::new("")).is_err());
    }
}
