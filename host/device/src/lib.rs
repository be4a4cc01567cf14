//! What this machine is, and what the system lets one process have of it.
//!
//! The only crate that names sysinfo.

mod limits;

pub use limits::{Limits, limits};

use sysinfo::{CpuRefreshKind, System};

/// What this machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Cores that this process may use.
    pub cores: usize,
    /// What the processor calls itself; empty if that isn't known.
    pub cpu: String,
    /// Bytes of memory; zero if that isn't known.
    pub memory: u64,
    /// Bytes of it that could be had now.
    pub available: u64,
    /// The operating system, with its version.
    pub os: String,
    /// The processor's architecture.
    pub arch: &'static str,
}

/// Looks at this machine. What can't be found out is left empty.
pub fn about() -> About {
    let (mut cpu, mut memory, mut available) = (String::new(), 0, 0);
    if let Ok(mut system) = System::new() {
        system.refresh_memory();
        system.refresh_cpu_list(CpuRefreshKind::nothing());
        cpu = system.cpus().first().map(|cpu| cpu.brand().trim().into()).unwrap_or_default();
        (memory, available) = (system.total_memory(), system.available_memory());
    }
    About {
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
        cpu,
        memory,
        available,
        os: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.into()),
        arch: std::env::consts::ARCH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_cores_and_memory() {
        let about = about();
        assert!(about.cores > 0 && about.memory > 0, "{about:?}");
        assert!(about.available <= about.memory, "{about:?}");
        assert!(!about.os.is_empty() && !about.arch.is_empty());
    }
}
