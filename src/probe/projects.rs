//! Asks mongo about projects. No password appears in an answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;

use super::in_time;
use super::store::{self, bound, without_password};
use crate::release::DATABASE;
use crate::secret::Secret;

/// How many projects come at a time.
const BATCH: u32 = 10_000;

/// The TeX Live images that projects name, with the number of projects; under an empty name those that
/// name none. With an address, the mongo there is asked without logging in.
///
/// # Errors
/// Mongo does not answer within the deadline, or refuses.
pub async fn image_names(
    url: &Secret,
    address: Option<SocketAddr>,
    deadline: Duration,
) -> Result<BTreeMap<String, u64>, String> {
    let parsed = store::parsed(url)?;
    let database = parsed.default_database.clone();
    let mut options = match address {
        None => store::options(parsed).await?,
        Some(address) => store::without_login(address),
    };
    bound(&mut options, deadline, 1);
    let database = database.unwrap_or_else(|| DATABASE.to_owned());
    let counted = in_time(deadline, count(options, &database)).await;
    counted.map_err(|text| without_password(&text, url))
}

/// Counted here and not by mongo: one field of each project is little.
async fn count(
    options: ClientOptions,
    database: &str,
) -> Result<BTreeMap<String, u64>, mongodb::error::Error> {
    let client = mongodb::Client::with_options(options)?;
    let projects = client.database(database).collection::<Document>("projects");
    let mut found = projects
        .find(doc! {})
        .projection(doc! { "imageName": 1 })
        .batch_size(BATCH)
        .await?;
    let mut counts = BTreeMap::new();
    while let Some(project) = found.try_next().await? {
        let name = project.get_str("imageName").unwrap_or_default();
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    client.shutdown().immediate(true).await;
    Ok(counts)
}
