//! Whether a port of this machine is free, and which process holds it.
#![expect(
    clippy::disallowed_methods,
    reason = "part of the door to processes and sockets"
)]

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use tokio::net::TcpSocket;

/// The kernel's tables of sockets.
const TCP: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
const UDP: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];

/// State of a listening socket in `/proc/net/tcp` (TCP_LISTEN in the kernel's headers).
const LISTENING: &str = "0A";

/// Every address of either family.
const ALL: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
];

/// Whether nobody listens there on TCP; without an address, on none of either family, as an engine
/// publishes a port. An address that this machine does not have counts as free: see [`has_address`].
#[must_use]
pub fn is_free(address: Option<IpAddr>, port: u16) -> bool {
    let is_free = |address: IpAddr| {
        is_unused(bind(SocketAddr::new(address, port)))
            || is_of_v4_alone(address, TCP, port, Some(LISTENING))
    };
    match address {
        Some(address) => is_free(address),
        None => ALL.into_iter().all(is_free),
    }
}

/// Whether a question by binding found nobody.
fn is_unused<T>(bound: io::Result<T>) -> bool {
    match bound {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrInUse,
    }
}

/// Whether only sockets of IPv4 keep a question from all addresses of IPv6: the question is about both
/// families, and an engine listens for each apart.
fn is_of_v4_alone(address: IpAddr, tables: [&str; 2], port: u16, state: Option<&str>) -> bool {
    let [_, of_v6] = tables;
    address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && sockets(&[of_v6], port, state).is_empty()
}

/// Whether this machine has an address; where that cannot be found out, it has.
#[must_use]
pub fn has_address(address: IpAddr) -> bool {
    match UdpSocket::bind(SocketAddr::new(address, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

/// Binds without listening, so that whoever begins to listen at this moment is not in the way of the
/// question, nor the question in theirs.
fn bind(address: SocketAddr) -> io::Result<()> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

/// The first free port from `wanted` on, or from `fallback` on when `wanted` is taken.
#[must_use]
pub fn first_free(address: Option<IpAddr>, wanted: u16, fallback: u16) -> Option<u16> {
    std::iter::once(wanted)
        .chain(fallback..=u16::MAX)
        .find(|port| is_free(address, *port))
}

/// Whether nobody has that UDP port. Who has a port gets what is sent to it, even for a moment: only
/// where somebody is on the port of whatever address, it is asked whether the address is another one.
#[must_use]
pub fn is_udp_free(address: Option<IpAddr>, port: u16) -> bool {
    if sockets(&UDP, port, None).is_empty() {
        return true;
    }
    let is_free = |address: IpAddr| {
        is_unused(UdpSocket::bind(SocketAddr::new(address, port)))
            || is_of_v4_alone(address, UDP, port, None)
    };
    match address {
        Some(address) => is_free(address),
        None => ALL.into_iter().all(is_free),
    }
}

/// The process that listens on the TCP port, in words for a person; `None` when it cannot be seen,
/// which needs root for the processes of others.
#[must_use]
pub fn holder(port: u16) -> Option<String> {
    process_of(&sockets(&TCP, port, Some(LISTENING)))
}

/// As [`holder`], of a UDP port.
#[must_use]
pub fn udp_holder(port: u16) -> Option<String> {
    process_of(&sockets(&UDP, port, None))
}

fn process_of(sockets: &[String]) -> Option<String> {
    if sockets.is_empty() {
        return None;
    }
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(process) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        if holds(&entry.path(), sockets) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("process `{}` (pid {process})", name.trim()));
        }
    }
    None
}

/// The sockets on the port of this machine, in this state or any, from tables of `/proc/net`.
fn sockets(tables: &[&str], port: u16, state: Option<&str>) -> Vec<String> {
    let tables = tables.iter();
    let tables = tables.filter_map(|table| fs::read_to_string(table).ok());
    tables
        .flat_map(|table| sockets_in(&table, port, state))
        .collect()
}

/// Inodes of the sockets on the port, from one table.
fn sockets_in(table: &str, port: u16, state: Option<&str>) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_in_state = state.is_none() || fields.get(3).copied() == state;
            let is_it = is_in_state && fields.get(1)?.ends_with(&wanted);
            is_it.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
        })
        .collect()
}

fn holds(process: &Path, sockets: &[String]) -> bool {
    // A process may end, or belong to somebody else, while it is looked at.
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    descriptors.flatten().any(|descriptor| {
        fs::read_link(descriptor.path()).is_ok_and(|target| {
            sockets
                .iter()
                .any(|socket| target.as_os_str() == socket.as_str())
        })
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_question_is_in_nobodys_way() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let asked = bind(address);
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        assert!(asked.is_ok() && is_free(Some(address.ip()), address.port()));
        let asking = std::thread::spawn(move || {
            (0..1000).all(|_| is_free(Some(address.ip()), address.port()))
        });
        let other = (0..1000).all(|_| is_free(Some(address.ip()), address.port()));
        assert!(other && asking.join().unwrap());
    }

    #[test]
    fn a_held_port_is_found_with_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert!(!is_free(loopback, port));
        let holder = holder(port).unwrap();
        assert!(
            holder.ends_with(&format!("(pid {})", std::process::id())),
            "{holder}"
        );
        assert_ne!(first_free(loopback, port, 20_000), Some(port));
        drop(listener);
        assert!(is_free(loopback, port));
    }

    #[test]
    fn a_held_udp_port_is_found_with_its_holder() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert!(!is_udp_free(loopback, port));
        assert!(!is_udp_free(None, port));
        let other = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
        assert!(is_udp_free(other, port));
        let holder = udp_holder(port).unwrap();
        assert!(
            holder.ends_with(&format!("(pid {})", std::process::id())),
            "{holder}"
        );
        drop(socket);
        assert!(is_udp_free(loopback, port));
    }
}
