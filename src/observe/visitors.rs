//! Who else is in the networks of the project that differ from their definitions. Asked only where there
//! is one: the engine tells it container by container.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;

use crate::compose::Project;
use crate::engine::EngineError;
use crate::engine::stock::Stock;
use crate::observed::Container;
use crate::observed::Observed;
use crate::observed::network::Visitor;
use crate::observed::network::Whose;

/// The containers that belong to no service of the project, running or not: one that does not run would
/// not start any more in a network that was made anew.
pub(super) async fn all(
    engine: &impl Stock,
    project: &Project,
    observed: &Observed,
) -> Result<Vec<Visitor>, EngineError> {
    let differing = observed.differing_networks(project).into_iter();
    let differing = differing.filter(|differing| differing.is_ours);
    let networks: BTreeSet<String> = differing.map(|found| found.network.id.clone()).collect();
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let listed = engine.listed_containers(false).await?;
    let is_known = |id: &str| observed.containers.iter().any(|known| known.id == id);
    let others = listed.iter().filter(|found| !is_known(&found.id));
    let others = try_join_all(others.map(|found| engine.container(&found.id))).await?;
    let is_orphan = |found: &&Container| !project.services.contains_key(&found.service);
    let orphans = observed.containers.iter().filter(is_orphan);
    let foreign = others.iter().flatten();
    let all = foreign
        .map(|found| (found, Whose::Foreign))
        .chain(orphans.map(|found| (found, Whose::Orphan)));
    let visitors = all.flat_map(|(container, whose)| {
        let joined = container.network_ids.intersection(&networks);
        joined.map(move |network| Visitor {
            network: network.clone(),
            container: container.name.clone(),
            whose,
        })
    });
    Ok(visitors.collect())
}
