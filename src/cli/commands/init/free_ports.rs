//! Ports of a new instance beside whatever uses the usual ones already.

use std::net::{IpAddr, Ipv4Addr};

use super::super::super::Session;
use crate::host::ports;
use crate::seed::{PORT_BEHIND_NGINX, Tls, Wishes};

const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// Where the search for another HTTP port begins, and for another HTTPS port.
const OTHER_HTTP: u16 = 8080;
const OTHER_HTTPS: u16 = 8443;

/// Gives the new instance free ports where the operator named none and the usual ones are taken;
/// says so.
pub(super) fn choose(session: &Session, wishes: &mut Wishes) {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = wishes.listen.unwrap_or(local);
    let mut chosen = Vec::new();
    match wishes.tls {
        Tls::Off | Tls::Proxy { .. } => {
            if wishes.port.is_none() {
                wishes.port = other(session, address, HTTP, OTHER_HTTP, "OVERLEAF_PORT", &chosen);
            }
        }
        Tls::Nginx { .. } => {
            if wishes.port.is_none() {
                wishes.port = other(session, address, HTTPS, OTHER_HTTPS, "TLS_PORT", &chosen);
            }
            chosen.extend(wishes.port);
            let setting = "NGINX_HTTP_PORT";
            wishes.http_port = other(session, address, HTTP, OTHER_HTTP, setting, &chosen);
            chosen.extend(wishes.http_port);
            let (port, setting) = (PORT_BEHIND_NGINX, "OVERLEAF_PORT");
            wishes.inner_port = other(session, local, port, port + 1, setting, &chosen);
        }
    }
}

/// Another port than the usual one, `None` when that can be had.
fn other(
    session: &Session,
    address: IpAddr,
    usual: u16,
    from: u16,
    setting: &str,
    chosen: &[u16],
) -> Option<u16> {
    let is_free = |port: u16| !chosen.contains(&port) && ports::is_free(Some(address), port);
    if is_free(usual) {
        return None;
    }
    let holder = match chosen.contains(&usual) {
        true => "another port of this instance".to_owned(),
        false => ports::holder(usual).unwrap_or_else(|| "another process".to_owned()),
    };
    let free = (from..=u16::MAX).find(|port| is_free(*port))?;
    session.ui.say(&format!(
        "port {usual} is taken by {holder}: {setting} in config/overleaf.rc is {free}"
    ));
    Some(free)
}
