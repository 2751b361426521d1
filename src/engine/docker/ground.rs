//! What networks and volumes are made of, in a form that is the same for what is wanted and for what
//! the engine shows.

use std::net::IpAddr;

use bollard::models::{Network as NetworkModel, NetworkCreateRequest};
use serde_json::{Value, json};

use super::{convert, normal};
use crate::compose::{self, Values};
use crate::observed::{Made, Volume};

/// Driver of a network that names none.
const BRIDGE: &str = "bridge";

/// What the engine shows of a network.
pub(super) fn of_network(model: &NetworkModel) -> Made {
    of_values(&normal::object(model))
}

/// What the engine will show of a network made of a definition, as far as the definition says it.
pub(super) fn wanted_network(network: &compose::Network) -> Made {
    let request: NetworkCreateRequest = convert::network_request(network, &network.labels);
    let mut made = of_values(&normal::object(&request));
    // An engine that does not tell has it.
    if made.0.get("enable_ipv4") == Some(&json!(true)) {
        made.0.shift_remove("enable_ipv4");
    }
    made
}

/// What the engine will show of a volume made of a definition; the driver is empty where the
/// definition leaves it to the engine.
pub(super) fn wanted_volume(volume: &compose::Volume) -> Volume {
    let request = convert::volume_request(volume, &std::collections::BTreeMap::new());
    Volume {
        name: volume.name.clone(),
        driver: request.driver.unwrap_or_default(),
        options: request.driver_opts.into_iter().flatten().collect(),
        ..Volume::default()
    }
}

fn of_values(network: &Values) -> Made {
    let mut made = Values::new();
    let driver = match normal::text(network, "Driver") {
        "" => BRIDGE,
        driver => driver,
    };
    made.insert("driver".to_owned(), json!(driver));
    for (key, ours) in [
        ("Internal", "internal"),
        ("Attachable", "attachable"),
        ("EnableIPv4", "enable_ipv4"),
        ("EnableIPv6", "enable_ipv6"),
    ] {
        // What is switched off on purpose differs from what is left to the engine.
        let flag = network.get(key).filter(|value| value.is_boolean());
        normal::insert(&mut made, ours, flag.cloned());
    }
    for (key, ours) in [("Options", "driver_opts"), ("Labels", "labels")] {
        let map = network.get(key).and_then(Value::as_object);
        let entries = map.into_iter().flatten();
        let entries = entries.map(|(key, value)| (key.clone(), value.clone()));
        normal::insert(&mut made, ours, normal::sorted(entries));
    }
    let ipam = network.get("IPAM").and_then(Value::as_object);
    normal::insert(&mut made, "ipam", ipam.map(addresses));
    Made(made)
}

fn addresses(ipam: &Values) -> Value {
    let mut made = Values::new();
    for (key, ours) in [("Driver", "driver"), ("Options", "options")] {
        normal::insert(&mut made, ours, ipam.get(key).and_then(normal::pruned));
    }
    let pools = ipam.get("Config").and_then(Value::as_array);
    let pools = pools.into_iter().flatten().filter_map(Value::as_object);
    let pools: Vec<Value> = pools.map(pool).collect();
    normal::insert(&mut made, "config", normal::pruned(&json!(pools)));
    Value::Object(made)
}

fn pool(pool: &Values) -> Value {
    let range = |key: &str| range(normal::text(pool, key));
    // Some engines write the length of the subnet behind the gateway.
    let gateway = normal::text(pool, "Gateway");
    let gateway = gateway.split('/').next().unwrap_or(gateway);
    let others = pool.get("AuxiliaryAddresses").and_then(Value::as_object);
    let others = others.into_iter().flatten();
    let others = others.map(|(name, value)| {
        let text = value.as_str().unwrap_or_default();
        (name.clone(), json!(address(text)))
    });
    json!({
        "subnet": range("Subnet"),
        "ip_range": range("IPRange"),
        "gateway": address(gateway),
        "aux_addresses": normal::sorted(others),
    })
}

/// An address in its usual spelling.
fn address(text: &str) -> String {
    let parsed = text.parse::<IpAddr>();
    parsed.map_or_else(|_| text.to_owned(), |address| address.to_string())
}

/// A range by its first address: engines differ in whether they keep what stands behind the prefix.
fn range(text: &str) -> String {
    let parts = text.split_once('/');
    let parsed = parts.and_then(|(address, length)| {
        Some((address.parse::<IpAddr>().ok()?, length.parse::<u32>().ok()?))
    });
    match parsed {
        Some((IpAddr::V4(address), length)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length));
            let first = u32::from(address) & mask.unwrap_or(0);
            format!("{}/{length}", std::net::Ipv4Addr::from(first))
        }
        Some((IpAddr::V6(address), length)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length));
            let first = u128::from(address) & mask.unwrap_or(0);
            format!("{}/{length}", std::net::Ipv6Addr::from(first))
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::load;
    use crate::observed::network::respects;

    const DEFINITION: &str = r#"
services:
  a: {image: i}
networks:
  default:
    internal: true
    enable_ipv6: true
    driver_opts: {com.docker.network.driver.mtu: 1400}
    labels: {team: tex}
    ipam: {config: [{subnet: 172.30.0.0/16, gateway: 172.30.0.1}, {subnet: "fd00:0::/64"}]}
"#;

    fn wanted(text: &str) -> Made {
        let project = load::project(text, "p").unwrap();
        wanted_network(&project.networks["default"])
    }

    /// What an engine shows of a network that Docker Compose made of the definition.
    fn shown() -> Value {
        json!({
            "Name": "p_default", "Id": "n", "Created": "2026-01-02T03:04:05Z", "Scope": "local",
            "Driver": "bridge", "Internal": true, "Attachable": true, "EnableIPv4": true,
            "EnableIPv6": true, "Ingress": false, "ConfigOnly": false, "Containers": {},
            "Options": {
                "com.docker.network.driver.mtu": "1400",
                "com.docker.network.bridge.name": "br-p"
            },
            "Labels": {
                "team": "tex", "com.docker.compose.project": "p",
                "com.docker.compose.network": "default"
            },
            "IPAM": { "Driver": "default", "Options": null, "Config": [
                { "Subnet": "fd00::/64", "Gateway": "fd00::1/64" },
                { "Subnet": "172.30.0.0/16", "Gateway": "172.30.0.1" },
            ] },
        })
    }

    fn differing(key: &str, value: Value, definition: &str) -> Vec<String> {
        let mut shown = shown();
        shown[key] = value;
        let model: NetworkModel = serde_json::from_value(shown).unwrap();
        let respects = respects(&wanted(definition), &of_network(&model)).into_iter();
        let mut keys: Vec<String> = respects
            .map(|respect| match respect.key.split_once('.') {
                Some((key, _)) => format!("`{key}`"),
                None => respect.to_string(),
            })
            .collect();
        keys.dedup();
        keys
    }

    #[test]
    fn a_network_as_it_was_asked_for_does_not_differ() {
        let none: Vec<String> = Vec::new();
        assert_eq!(differing("Scope", json!("local"), DEFINITION), none);
        // What the definition leaves to the engine is the engine's.
        let plain = "services:\n  a: {image: i}\n";
        assert_eq!(differing("Internal", json!(false), plain), none);
    }

    #[test]
    fn each_change_of_a_definition_is_seen() {
        let said = |key: &str, value: Value| differing(key, value, DEFINITION);
        assert_eq!(said("Internal", json!(false)), ["`internal`: false → true"]);
        assert_eq!(
            said("Driver", json!("macvlan")),
            ["`driver`: macvlan → bridge"]
        );
        assert_eq!(
            said("EnableIPv6", json!(false)),
            ["`enable_ipv6`: false → true"]
        );
        assert_eq!(said("Options", json!({})), ["`driver_opts`"]);
        assert_eq!(said("Labels", json!({ "team": "x" })), ["`labels`"]);
        let other = json!({ "Config": [{ "Subnet": "172.31.0.0/16" }] });
        assert_eq!(said("IPAM", other), ["`ipam`"]);
        let open = "services:\n  a: {image: i}\n";
        assert_eq!(
            differing("Internal", json!(true), open),
            ["`internal`: true → false"]
        );
    }

    #[test]
    fn ranges_are_compared_by_what_they_contain() {
        assert_eq!(range("172.28.5.0/16"), "172.28.0.0/16");
        assert_eq!(range("0.0.0.0/0"), "0.0.0.0/0");
        assert_eq!(range("fd00:0:0:0:1::/64"), "fd00::/64");
        assert_eq!(range("x"), "x");
    }
}
