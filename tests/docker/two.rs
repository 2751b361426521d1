//! Two instances on one engine: neither touches the other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use toolkit::engine::Engine;

use super::instance::Instance;
use super::raw;

/// Everything that `down` of another instance must leave as it is: what the engine shows of the
/// containers and the network, and the files but those that the servers write.
fn witness(instance: &Instance) -> Witness {
    let containers = instance.containers();
    let shown = containers.iter().map(|found| {
        let mut shown = raw::inspect(&found.id);
        // Health checks go on.
        shown["ExecIDs"] = Value::Null;
        shown["State"]["Health"]["Log"] = Value::Null;
        shown
    });
    let network = format!("{}_default", instance.project);
    let networks = instance
        .runtime
        .block_on(instance.engine.networks(&network));
    let mut files = BTreeMap::new();
    let root = instance.sandbox.root();
    for folder in ["config", ".toolkit"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    let shown: Vec<Value> = shown.collect();
    let pretty = serde_json::to_string_pretty(&shown).unwrap();
    let mut engine: Vec<String> = pretty.lines().map(ToOwned::to_owned).collect();
    engine.push(format!("{:?}", networks.unwrap()));
    Witness { engine, files }
}

/// What must stay as it is.
struct Witness {
    engine: Vec<String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Witness {
    /// Requires that nothing has changed since.
    #[track_caller]
    fn is_untouched(&self, now: &Self, what: &str) {
        for (before, after) in self.engine.iter().zip(&now.engine) {
            assert_eq!(before, after, "{what}");
        }
        assert_eq!(self.engine.len(), now.engine.len(), "{what}");
        for (path, before) in &self.files {
            assert!(
                now.files.get(path) == Some(before),
                "{what}: {}",
                path.display()
            );
        }
        assert_eq!(self.files.len(), now.files.len(), "{what}");
    }
}

#[test]
fn down_of_one_leaves_the_other_byte_for_byte() {
    let (Some(first), Some(second)) = (Instance::new(&[]), Instance::new(&[])) else {
        return;
    };
    first.run(&["up"]).succeeded();
    let alone = witness(&first);
    second.run(&["up"]).succeeded();
    alone.is_untouched(&witness(&first), "the second `up` touched the first");
    first.put("of the first\n");
    second.put("of the second\n");
    let both = witness(&second);
    first.run(&["down"]).succeeded();
    both.is_untouched(&witness(&second), "`down` of the first touched the second");
    assert_eq!(second.document(), "of the second\n");
    first.run(&["up"]).succeeded();
    assert_eq!(first.document(), "of the first\n");
    let again = witness(&first);
    second.run(&["down"]).succeeded();
    again.is_untouched(&witness(&first), "`down` of the second touched the first");
    assert_eq!(first.document(), "of the first\n");
}
