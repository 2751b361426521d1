//! Who else is in the networks of the project.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;

use crate::compose::Project;
use crate::deployment::Deployment;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::stock::Stock;
use crate::observed::Observed;
use crate::observed::network::Visitor;
use crate::observed::network::Whose;

/// The containers in networks that differ from their definitions and that belong to no service of the
/// project, running or not: one that does not run would not start any more in a network that was made
/// anew. Asked only where there is such a network: the engine tells it container by container.
pub(super) async fn all(
    engine: &impl Stock,
    deployment: &Deployment,
    observed: &Observed,
) -> Result<Vec<Visitor>, EngineError> {
    let differing = observed.differing_networks(&deployment.project).into_iter();
    let differing = differing.filter(|differing| differing.is_ours);
    let networks: BTreeSet<String> = differing.map(|found| found.network.id.clone()).collect();
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let listed = engine.listed_containers(false).await?;
    let is_known = |id: &str| observed.containers.iter().any(|known| known.id == id);
    let others = listed.iter().filter(|found| !is_known(&found.id));
    let others = try_join_all(others.map(|found| engine.container(&found.id))).await?;
    let services = &deployment.project.services;
    let others_of_ours = observed.containers.iter();
    let others_of_ours = others_of_ours.filter(|found| !services.contains_key(&found.service));
    let others_of_ours = others_of_ours.map(|found| match deployment.defines(&found.service) {
        true => (found, Whose::Inactive),
        false => (found, Whose::Orphan),
    });
    let foreign = others.iter().flatten();
    let all = foreign
        .map(|found| (found, Whose::Foreign))
        .chain(others_of_ours);
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

/// The running containers in networks of the project that are none of it, or that somebody has let run
/// once: while they do, the networks cannot go.
pub(super) async fn running(
    engine: &impl Engine,
    project: &Project,
    observed: &Observed,
) -> Result<Vec<Visitor>, EngineError> {
    let networks = observed.networks.values().flatten();
    let ours = networks.filter(|network| network.is_of(project));
    let connected = try_join_all(ours.map(async |network| {
        Ok::<_, EngineError>((&network.id, engine.connected(&network.id).await?))
    }));
    let is_known = |id: &String| observed.containers.iter().any(|known| known.id == *id);
    let visitors = connected
        .await?
        .into_iter()
        .flat_map(|(network, containers)| {
            let others = containers.into_iter().filter(|(id, _)| !is_known(id));
            others.map(|(_, name)| Visitor {
                network: network.clone(),
                container: name,
                whose: Whose::Foreign,
            })
        });
    Ok(visitors.collect())
}
