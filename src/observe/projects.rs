//! What the projects in mongo say, as far as it matters to those who run the site. Reads only.

use std::collections::BTreeMap;
use std::time::Duration;

use super::machine;
use crate::deployment::Deployment;
use crate::deployment::Probe;
use crate::engine::Engine;
use crate::observed::machine::Asked;
use crate::probe::projects;
use crate::probe::store;
use crate::probe::way;
use crate::secret::Secret;

/// How long the projects may take to be counted. A large site has some hundred thousand.
const DEADLINE: Duration = Duration::from_secs(60);

/// The TeX Live images that projects name, with the number of projects; under an empty name those that
/// name none.
pub async fn image_names(
    engine: &impl Engine,
    deployment: &Deployment,
) -> Asked<BTreeMap<String, u64>> {
    let not_asked = |because: &str| Asked::NotAsked {
        because: because.to_owned(),
    };
    let Some(url) = machine::variable(deployment, "MONGO_URL").map(Secret::new) else {
        return not_asked("no URL of mongo is configured");
    };
    let hosts = match store::mongo_hosts(&url) {
        Ok(hosts) => hosts,
        Err(because) => return Asked::NotAsked { because },
    };
    let Some((host, _)) = hosts.first() else {
        return not_asked("the URL of mongo names no host");
    };
    if machine::service_of(&deployment.project, host).is_none() {
        let is_here = match engine.facts().await {
            Ok(facts) => machine::elsewhere(&facts).is_none(),
            Err(error) => return not_asked(&error.to_string()),
        };
        return match machine::reach(&deployment.project, &hosts, is_here).await {
            Ok(at) => {
                machine::answered(at, true, projects::image_names(&url, None, DEADLINE).await)
            }
            Err(outcome) => outcome,
        };
    }
    let project = &deployment.project;
    let containers = match engine.project_containers(&project.name).await {
        Ok(containers) => containers,
        Err(error) => return not_asked(&error.to_string()),
    };
    let mongo = containers
        .iter()
        .find(|found| found.service == "mongo" && found.state.is_running());
    let (Some(mongo), Some(Probe::Mongo { port, .. })) = (mongo, deployment.probes.get("mongo"))
    else {
        return not_asked("mongo does not run");
    };
    let ask = async |address| projects::image_names(&url, Some(address), DEADLINE).await;
    match way::to(engine, mongo, *port, ask).await {
        Ok(answer) => machine::answered("mongo".to_owned(), false, answer),
        Err(error) => not_asked(&error.to_string()),
    }
}
