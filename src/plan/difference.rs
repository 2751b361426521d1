//! Whether a container is what its definition asks for, and if not, in which respect.

use crate::compose::Service;
use crate::compose::canonical;
use crate::labels;
use crate::observed::Container;
use crate::observed::Observed;

/// Why the container must be made anew, `None` when it need not. Values of the environment are
/// never part of the text: they may be secrets.
#[must_use]
pub fn cause(
    service: &str,
    desired: &Service,
    container: &Container,
    observed: &Observed,
) -> Option<String> {
    if desired.image != container.image {
        return Some(format!("image: {} → {}", container.image, desired.image));
    }
    let hash = canonical::service_hash(desired);
    if container.labels.get(labels::CONFIG_HASH) != Some(&hash) {
        return Some(changed_fields(service, desired, container));
    }
    let present = observed.images.get(&desired.image).and_then(Option::as_ref);
    // Both ids come from looking at the image: what a container shows as its image can be the id of
    // one platform of it, depending on how the engine stores images.
    let made_from = container
        .labels
        .get(labels::IMAGE)
        .unwrap_or(&container.image_id);
    if let Some(image) = present
        && image.id != *made_from
    {
        return Some(format!(
            "image `{}` has been replaced by a newer one",
            desired.image
        ));
    }
    None
}

/// Names the fields that differ, as far as the container shows them.
fn changed_fields(service: &str, desired: &Service, container: &Container) -> String {
    let mut changes = Vec::new();
    let current = &container.environment.0;
    for (name, value) in &desired.environment.0 {
        match (current.get(name), value) {
            (None, Some(_)) => changes.push(format!("environment {name} is new")),
            (Some(old), Some(new)) if old != new => {
                changes.push(format!("environment {name} has changed"));
            }
            _ => {}
        }
    }
    // The hash tells that something is gone; variables of the image itself cannot be told apart
    // from ours, so only the families that this program sets are named.
    for name in current.keys() {
        let is_ours = ["OVERLEAF_", "SHARELATEX_", "GIT_BRIDGE_"]
            .iter()
            .any(|p| name.starts_with(p));
        if is_ours && !desired.environment.0.contains_key(name) {
            changes.push(format!("environment {name} is gone"));
        }
    }
    let published: Vec<String> = desired
        .ports
        .iter()
        .map(|port| {
            let address = port.host_ip.as_deref().unwrap_or_default();
            let public = port.published.as_deref().unwrap_or_default();
            format!("{address}:{public}:{}", port.target)
        })
        .collect();
    let existing: Vec<String> = container
        .ports
        .iter()
        .map(|port| format!("{}:{}:{}", port.host_ip, port.host_port, port.target))
        .collect();
    if container.state.is_running() && published != existing && !published.is_empty() {
        changes.push(format!(
            "ports: {} → {}",
            existing.join(" "),
            published.join(" ")
        ));
    }
    if changes.is_empty() {
        return format!("the definition of `{service}` has changed");
    }
    changes.join(", ")
}
