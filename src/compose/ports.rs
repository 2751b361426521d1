//! Published ports: the short form `[ADDRESS:][HOST]:CONTAINER[/PROTOCOL]` and what makes two ports
//! the same.

use std::net::IpAddr;

use super::node::{Map, Mark, Node, NodeKind};

/// A port as the short form gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ShortPort {
    host_ip: String,
    published: String,
    target: u16,
    protocol: String,
}

/// The long forms of a short one, one per port of a range.
///
/// # Errors
/// What is wrong with the text, in words.
pub(super) fn expand(text: &str, mark: Mark) -> Result<Vec<Node>, String> {
    let ports = parse(text)?;
    Ok(ports.into_iter().map(|port| port.node(mark)).collect())
}

impl ShortPort {
    fn node(&self, mark: Mark) -> Node {
        let mut map = Map::new();
        let mut put = |key: &str, kind: NodeKind| {
            map.insert(key.to_owned(), Node::at(kind, mark));
        };
        if !self.host_ip.is_empty() {
            put("host_ip", NodeKind::Text(self.host_ip.clone()));
        }
        if !self.published.is_empty() {
            put("published", NodeKind::Text(self.published.clone()));
        }
        put("target", NodeKind::Integer(self.target.into()));
        put("protocol", NodeKind::Text(self.protocol.clone()));
        put("mode", NodeKind::Text("ingress".to_owned()));
        Node::at(NodeKind::Map(map), mark)
    }
}

fn parse(text: &str) -> Result<Vec<ShortPort>, String> {
    let mut parts = text.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next().unwrap_or_default();
    let address = parts.next().unwrap_or_default();
    let (container, protocol) = match container.split_once('/') {
        Some((container, "")) => (container, "tcp".to_owned()),
        Some((container, protocol)) => (container, protocol.to_ascii_lowercase()),
        None => (container, "tcp".to_owned()),
    };
    if container.is_empty() {
        return Err(format!("`{text}` names no port of the container"));
    }
    let host_ip = address_of(address)
        .ok_or_else(|| format!("`{address}` is not an IP address (IPv6 goes in brackets)"))?;
    let (low, high) =
        range(container).ok_or_else(|| format!("`{container}` is not a port of the container"))?;
    let published = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("`{host}` is not a port of the host"))?),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("`{protocol}` is not a protocol: tcp, udp or sctp"));
    }
    let same_length = published.is_none_or(|(from, to)| to - from == high - low);
    if !same_length && low != high {
        return Err(format!(
            "the ranges `{host}` and `{container}` differ in length"
        ));
    }
    let text_of = |offset: u16| match published {
        None => String::new(),
        Some((from, to)) if !same_length => format!("{from}-{to}"),
        Some((from, _)) => (from + offset).to_string(),
    };
    Ok((0..=high - low)
        .map(|offset| ShortPort {
            host_ip: host_ip.clone(),
            published: text_of(offset),
            target: low + offset,
            protocol: protocol.clone(),
        })
        .collect())
}

/// The address without brackets; `None` when it is none.
fn address_of(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let address: IpAddr = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok()?,
        None if text.contains(':') => return None,
        None => text.parse().ok()?,
    };
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    (address.is_ipv4() || address.is_ipv6()).then(|| bare.to_owned())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |part: &str| -> Option<u16> {
        let is_plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| part.parse().ok()).flatten()
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (number(low)?, number(high)?);
    (low <= high).then_some((low, high))
}

/// What makes a port the same as another: address, ports and protocol; `None` for a range.
pub(super) fn identity(item: &Node) -> Option<String> {
    if let Some(text) = item.printed() {
        let ports = parse(&text).ok()?;
        let [port] = ports.as_slice() else {
            return None;
        };
        return identity(&port.node(item.mark));
    }
    let of = |key: &str| item.get(key).and_then(Node::printed).unwrap_or_default();
    let address = match of("host_ip").as_str() {
        "" => "0.0.0.0".to_owned(),
        address => address.to_owned(),
    };
    let protocol = match of("protocol").as_str() {
        "" => "tcp".to_owned(),
        protocol => protocol.to_owned(),
    };
    let (published, target) = (of("published"), of("target"));
    Some(format!("{address}:{published}:{target}/{protocol}"))
}
