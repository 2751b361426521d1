//! Checks of the engine's machine against the mongo that is to run on it.

use super::dotted::is_below;
use super::stores::wanted_mongo;
use super::{Finding, Looked, View, not_checked, not_needed, outcome};

/// Where a `services.mongo` key is written.
const OVERRIDE: &str = "config/docker-compose.override.yml";

pub(super) fn kernel(view: &View<'_>) -> Looked {
    let wanted = wanted_mongo(view)?;
    let kernel = &view.observed()?.engine.kernel;
    if kernel.is_empty() {
        return Err(not_checked("the engine does not tell its kernel"));
    }
    let services = &view.deployment.project.services;
    let environment = services.get("mongo").map(|mongo| &mongo.environment.0);
    let mut findings = Vec::new();
    for row in &view.registry.kernels {
        let concerns = is_below(&wanted, &row.mongo_from) == Some(false)
            && is_below(kernel, &row.kernel_from) == Some(false)
            && is_below(kernel, &row.kernel_until) == Some(true);
        let value = environment.and_then(|all| all.get(&row.variable)?.as_deref());
        let is_avoided = value.is_some_and(|value| value.contains(&row.value));
        if concerns && !is_avoided {
            findings.push(Finding {
                text: format!("MongoDB {wanted} does not run on the kernel {kernel}"),
                because: row.why.clone(),
                measured: format!("Linux {kernel}"),
                needed: format!("Linux below {} or from {} on", row.kernel_from, row.kernel_until),
                fix: format!(
                    "boot another kernel; others report that `environment: {{{}: {}}}` under services.mongo in {OVERRIDE} helps too, which is not tested here",
                    row.variable, row.value
                ), ..Finding::default() });
        }
    }
    outcome(findings, format!("Linux {kernel}"), "")
}

pub(super) fn processor(view: &View<'_>) -> Looked {
    let wanted = wanted_mongo(view)?;
    let architecture = &view.observed()?.engine.architecture;
    let rows = view.registry.processors.iter().filter(|row| {
        row.architecture == *architecture && is_below(&wanted, &row.mongo_from) == Some(false)
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Err(not_needed("this mongo runs on any such processor"));
    }
    view.here()?;
    let Some(features) = &view.machine.processor else {
        return Err(not_checked(
            "the kernel does not tell what the processor can do",
        ));
    };
    let missing = rows.iter().filter(|row| !features.contains(&row.feature));
    let findings = missing.map(|row| Finding {
        text: format!("MongoDB {wanted} does not run on this processor"),
        because: format!("it needs {}, and ends with exit code 132 without it", row.name),
        measured: format!("{architecture} without {}", row.name),
        needed: row.name.clone(),
        fix: "use a machine whose processor has it; for a virtual machine, set its processor type to that of the host".to_owned(), ..Finding::default() });
    let names: Vec<&str> = rows.iter().map(|row| &*row.name).collect();
    let measured = format!("{architecture} with {}", names.join(", "));
    outcome(findings.collect(), measured, &names.join(", "))
}
