//! Fills the Tera templates of `templates/compose/` with settings and release facts.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tera::{Kwargs, State, Tera};

use super::{Context, DeploymentError, REPLICA_SET, bundled_image};
use crate::release::Catalogue;
use crate::settings::Settings;
use crate::settings::VARIABLES_FILE;
use crate::texlive::Derived;

/// The templates that the program carries, by the names they include each other with.
const TEMPLATES: [(&str, &str); 6] = [
    (
        "project.yml.tera",
        include_str!("../../templates/compose/project.yml.tera"),
    ),
    (
        "sharelatex.yml.tera",
        include_str!("../../templates/compose/sharelatex.yml.tera"),
    ),
    (
        "mongo.yml.tera",
        include_str!("../../templates/compose/mongo.yml.tera"),
    ),
    (
        "redis.yml.tera",
        include_str!("../../templates/compose/redis.yml.tera"),
    ),
    (
        "git-bridge.yml.tera",
        include_str!("../../templates/compose/git-bridge.yml.tera"),
    ),
    (
        "nginx.yml.tera",
        include_str!("../../templates/compose/nginx.yml.tera"),
    ),
];

/// What the application trusts behind the TLS proxy when variables.env says nothing: the proxy's
/// addresses on the engine's default networks.
const TRUSTED_PROXIES: &str = "loopback,172.16.0.0/12";

/// The values for the templates of one instance.
pub(super) struct Rendering {
    values: BTreeMap<&'static str, Value>,
    bundled: BTreeMap<String, String>,
    texlive: Option<Derived>,
}

impl Rendering {
    pub(super) fn new(
        settings: &Settings,
        catalogue: &Catalogue,
        context: &Context,
    ) -> Result<Self, DeploymentError> {
        let era = catalogue.era(&settings.version)?;
        let images = catalogue.images(settings.edition)?;
        let mut bundled = BTreeMap::new();
        let mut choose = |service: &str, real: String| {
            if !settings.bundled {
                return real;
            }
            let reference = bundled_image(service, &context.bundled_tag);
            bundled.insert(service.to_owned(), reference.clone());
            reference
        };
        let base = choose("sharelatex", settings.sharelatex_image(images));
        let packages = &settings.texlive_packages;
        let texlive = (!packages.is_empty()).then(|| {
            let version = settings.version.to_string();
            let repository = settings.texlive_repository.as_deref();
            Derived::new("sharelatex", &base, &version, packages, repository)
        });
        let image = texlive.as_ref().map_or(&base, |derived| &derived.reference);
        let container_name =
            |service: &str| (!settings.names_follow_project).then_some(service.to_owned());
        let sharelatex = &settings.sharelatex;
        let mut values = BTreeMap::new();
        values.insert("bundled", json!(settings.bundled));
        values.insert(
            "era",
            json!({
                "brand": era.brand,
                "data": era.data,
                "log": era.log,
                "git_bridge_api": era.git_bridge_api,
            }),
        );
        values.insert(
            "sharelatex",
            json!({
                "image": image,
                "container_name": container_name("sharelatex"),
                "port": short_port(&sharelatex.listen_ip, &sharelatex.port, 80),
                "data_path": sharelatex.data_path,
                "log_path": sharelatex.log_path,
                "compiles_path": sharelatex.data_path.join("data/compiles"),
                "synctex_path": sharelatex.data_path.join("bin/synctex"),
            }),
        );
        let variables_file = settings.root.join(VARIABLES_FILE);
        values.insert("variables_file", json!(variables_file));
        values.insert("sibling_socket", json!(settings.sibling_socket));
        values.insert("mongo_url", json!(settings.mongo_url));
        values.insert("redis_host", json!(settings.redis_host));
        values.insert("redis_port", json!(settings.redis_port));
        let mongo = settings.mongo.as_ref().map(|mongo| {
            json!({
                "image": choose("mongo", mongo.image.clone()),
                "container_name": container_name("mongo"),
                "data_path": mongo.data_path,
                "shell": settings.mongo_shell,
                "replica_set": era.needs_replica_set.then_some(REPLICA_SET),
            })
        });
        values.insert("mongo", json!(mongo));
        let redis = settings.redis.as_ref().map(|redis| {
            json!({
                "image": choose("redis", redis.image.clone()),
                "container_name": container_name("redis"),
                "data_path": redis.data_path,
                "append_only": settings.redis_append_only,
            })
        });
        values.insert("redis", json!(redis));
        let git_bridge = settings.git_bridge.as_ref().map(|git_bridge| {
            let real = settings.git_bridge_image(images);
            json!({
                "image": choose("git-bridge", real.unwrap_or_default()),
                "container_name": container_name("git-bridge"),
                "data_path": git_bridge.data_path,
                "log_level": git_bridge.log_level,
            })
        });
        values.insert("git_bridge", json!(git_bridge));
        values.insert("git_bridge_flag", json!(settings.git_bridge_flag));
        let nginx = settings.nginx.as_ref().map(|nginx| {
            json!({
                "image": nginx.image,
                "container_name": container_name("nginx"),
                "config_path": nginx.config_path,
                "private_key_path": nginx.private_key_path,
                "certificate_path": nginx.certificate_path,
                "tls_port": short_port(&nginx.tls.0, &nginx.tls.1, 443),
                "http_port": short_port(&nginx.http.0, &nginx.http.1, 80),
            })
        });
        values.insert("nginx", json!(nginx));
        let variable = format!("{}_TRUSTED_PROXY_IPS", era.brand);
        let trusted = settings
            .variable(&variable)
            .filter(|value| !value.is_empty());
        values.insert("trusted_proxies", json!(trusted.unwrap_or(TRUSTED_PROXIES)));
        Ok(Self {
            values,
            bundled,
            texlive,
        })
    }

    /// The image with TeX Live packages.
    pub(super) fn texlive(&self) -> Option<Derived> {
        self.texlive.clone()
    }

    /// Image references of the bundled servers, by service.
    pub(super) fn bundled_images(self) -> BTreeMap<String, String> {
        self.bundled
    }

    /// The definition as YAML.
    pub(super) fn render(&mut self) -> Result<String, tera::Error> {
        let mut tera = Tera::default();
        tera.register_filter("yaml", quote);
        tera.add_raw_templates(TEMPLATES)?;
        let mut context = tera::Context::new();
        for (name, value) in &self.values {
            context.insert(*name, value);
        }
        tera.render("project.yml.tera", &context)
    }
}

/// The filter `yaml`: a text as a double-quoted scalar. JSON's escapes are YAML's.
fn quote(value: &str, _: Kwargs, _: &State<'_>) -> String {
    Value::String(value.to_owned()).to_string()
}

/// `ADDRESS:PORT:TARGET`, with an IPv6 address in brackets.
fn short_port(address: &str, port: &str, target: u16) -> String {
    let address = address.trim_matches(['[', ']']);
    match address {
        "" => format!("{port}:{target}"),
        address if address.contains(':') => format!("[{address}]:{port}:{target}"),
        address => format!("{address}:{port}:{target}"),
    }
}
