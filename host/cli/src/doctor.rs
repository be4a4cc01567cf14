//! `village doctor`: what this machine has for building and running agents, and what to do about what it lacks.

use crate::arguments::Doctor;
use crate::problem::Problem;
use crate::{node, print};
use base::Size;
use guest::{Host, Pool};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One thing that was looked at.
struct Finding {
    name: String,
    found: bool,
    /// Whether anything fails without it today.
    needed: bool,
    detail: String,
    /// What to do if it isn't there; empty if there is nothing to do.
    fix: String,
}

pub(crate) fn doctor(options: &Doctor, json: bool) -> Result<ExitCode, Problem> {
    if options.fix && toolchain::find().is_err() {
        if !json {
            print::err("setting up what agents are built with; this may take some minutes");
        }
        toolchain::install()?;
    }
    let findings = look(options)?;
    let well = findings.iter().all(|finding| finding.found || !finding.needed);
    if json {
        let checks: Vec<_> = findings.iter().map(object).collect();
        print::json(&json!({ "well": well, "checks": checks }));
    } else {
        print::out(table(&findings).as_bytes());
        print::line(if well { "All that is needed is there." } else { "Something that is needed is missing." });
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(options: &Doctor) -> Result<Vec<Finding>, Problem> {
    let mut findings: Vec<_> = toolchain::doctor()
        .into_iter()
        .map(|check| Finding {
            name: check.name,
            found: check.found,
            needed: true,
            detail: check.detail,
            fix: check.fix,
        })
        .collect();
    findings.push(room());
    findings.extend(limits());
    findings.extend(machine());
    findings.push(vulkan());
    findings.extend(models(options)?);
    Ok(findings)
}

/// Asks each back end of models for its list.
fn models(options: &Doctor) -> Result<Vec<Finding>, Problem> {
    let config = crate::settings::config(options.config.as_deref(), Path::new(""))?;
    let Some(settings) = config.and_then(|config| config.models) else { return Ok(vec![no_models()]) };
    let tried = node::asking(async || Ok(hall::try_models(&settings).await))?;
    let finding = |(name, tried): (String, Result<Vec<String>, String>)| {
        let (found, detail, fix) = match tried {
            Ok(models) => (true, shown(&models), ""),
            Err(why) => (false, why, "correct [models] in village.toml, or start the server that it names"),
        };
        Finding { name: format!("models: {name}"), found, needed: false, detail, fix: fix.into() }
    };
    Ok(tried.into_iter().map(finding).collect())
}

fn no_models() -> Finding {
    Finding {
        name: "models".into(),
        found: false,
        needed: false,
        detail: "village.toml names none, so a prompt finds nobody who answers".into(),
        fix: "for Ollama write `[models.ollama]` and `url = \"http://127.0.0.1:11434\"`; for a model in this process \
              `[models.embedded]` and `files = { llama = \"FILE.gguf\" }`; for Claude `[models.claude]` and \
              `key = \"ANTHROPIC_API_KEY\"`"
            .into(),
    }
}

/// How many models of a list are named.
const NAMED: usize = 5;

fn shown(models: &[String]) -> String {
    let named = models.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match models.len() {
        0 => "it answers, and has no models".into(),
        count if count > NAMED => format!("it answers: {named} and {} more", count - NAMED),
        _ => format!("it answers: {named}"),
    }
}

/// Makes a host of the largest size: that needs the cache folder, address space and mappings.
fn room() -> Finding {
    let made =
        node::with(Host::builder().pool(Pool::Machine), async |host| Ok((host.capacity(), host.engine().compact())));
    let (found, detail, fix) = match made {
        Ok((agents, false)) => (true, format!("room for {agents} agents at once; the cache folder can be used"), ""),
        Ok((agents, true)) => (
            true,
            format!("room for {agents} agents at once, slower than they could be: address space is short"),
            "raise the limit, with `ulimit -v unlimited`",
        ),
        Err(problem) => (false, problem.to_string(), "set VILLAGE_CACHE to a folder that only you can reach"),
    };
    Finding { name: "host".into(), found, needed: true, detail, fix: fix.into() }
}

/// Below this a busy host may run out of them.
const FILES: u64 = 1024;

/// Some ten thousand agents need this many.
const MAPPINGS: u64 = 65_530;

fn limits() -> [Finding; 3] {
    let limits = device::limits();
    let finding = |name: &str, limit: Option<u64>, least: u64, show: fn(u64) -> String, fix: &str| {
        let enough = limit.is_none_or(|limit| limit >= least);
        Finding {
            name: name.into(),
            found: enough,
            needed: false,
            detail: limit.map_or_else(|| "not limited".into(), show),
            fix: if enough { String::new() } else { fix.into() },
        }
    };
    [
        finding("open files", limits.files, FILES, |files| files.to_string(), "`ulimit -n 4096`"),
        finding(
            "memory mappings",
            limits.mappings,
            MAPPINGS,
            |mappings| mappings.to_string(),
            "as root, `sysctl vm.max_map_count=65530`: each agent takes six",
        ),
        // Whether it is enough is for the engine to say; it copes with less.
        finding("address space", limits.address_space, 0, |bytes| Size::bytes(bytes).to_string(), ""),
    ]
}

fn machine() -> [Finding; 3] {
    let about = device::about();
    let finding = |name: &str, detail: String| Finding {
        name: name.into(),
        found: true,
        needed: false,
        detail,
        fix: String::new(),
    };
    let cpu = if about.cpu.is_empty() { about.arch.into() } else { format!("{}, {}", about.cpu, about.arch) };
    let memory = format!("{}, of which {} can be had", Size::bytes(about.memory), Size::bytes(about.available));
    [finding("cores", format!("{} of {cpu}", about.cores)), finding("memory", memory), finding("system", about.os)]
}

/// Where Linux distributions keep the loader, and say which drivers there are.
const LOADERS: [&str; 5] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];
const DRIVERS: [&str; 3] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];

/// Whether there is a Vulkan loader and a driver for it. Other systems than Linux bring their own graphics.
fn vulkan() -> Finding {
    let finding = |found, detail: String, fix: &str| Finding {
        name: "vulkan".into(),
        found,
        needed: false,
        detail,
        fix: fix.into(),
    };
    if !cfg!(target_os = "linux") {
        return finding(true, "the system's own graphics are used".into(), "");
    }
    let loader = LOADERS.iter().map(|folder| Path::new(folder).join("libvulkan.so.1")).find(|file| file.exists());
    let drivers: Vec<_> = DRIVERS.iter().flat_map(|folder| drivers(Path::new(folder))).collect();
    match (loader, drivers.as_slice()) {
        (None, _) => finding(false, "no loader (libvulkan.so.1): nothing can run on a GPU".into(), INSTALL),
        (Some(_), []) => finding(false, "there is a loader, but no driver: nothing can run on a GPU".into(), INSTALL),
        (Some(_), drivers) => finding(true, format!("a loader, and drivers: {}", drivers.join(", ")), ""),
    }
}

const INSTALL: &str = "on Debian, as root, `apt-get install libvulkan1 mesa-vulkan-drivers`, or the GPU maker's driver";

fn drivers(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().map(|entry| PathBuf::from(entry.file_name()));
    let described = files.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    let mut names: Vec<_> =
        described.filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

fn object(finding: &Finding) -> Value {
    json!({
        "name": finding.name,
        "found": finding.found,
        "needed": finding.needed,
        "detail": finding.detail,
        "fix": finding.fix,
    })
}

fn table(findings: &[Finding]) -> String {
    let mut rows = Vec::new();
    for finding in findings {
        let state = match (finding.found, finding.needed) {
            (true, _) => "ok",
            (false, true) => "missing",
            (false, false) => "lacking",
        };
        rows.push(vec![state.into(), finding.name.clone(), finding.detail.clone()]);
        if !finding.fix.is_empty() {
            rows.push(vec![String::new(), String::new(), format!("→ {}", finding.fix)]);
        }
    }
    print::columns(&rows)
}
