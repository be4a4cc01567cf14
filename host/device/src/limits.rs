//! What the system lets one process have.

/// What the system lets one process have. None is for what is not limited, or not on this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes of address space.
    pub address_space: Option<u64>,
    /// Files that may be open at once.
    pub files: Option<u64>,
    /// Stretches of memory that may be mapped at once.
    pub mappings: Option<u64>,
}

/// Asks the system.
pub fn limits() -> Limits {
    let mappings = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    Limits { mappings: mappings.and_then(|text| text.trim().parse().ok()), ..of_process() }
}

#[cfg(unix)]
fn of_process() -> Limits {
    use rustix::process::{Resource, getrlimit};
    Limits {
        address_space: getrlimit(Resource::As).current,
        files: getrlimit(Resource::Nofile).current,
        mappings: None,
    }
}

/// Other systems have no such limits.
#[cfg(not(unix))]
fn of_process() -> Limits {
    Limits::default()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_limits_files_and_mappings() {
        let limits = limits();
        assert!(limits.files.is_some_and(|files| files > 0), "{limits:?}");
        assert!(limits.mappings.is_some_and(|mappings| mappings > 0), "{limits:?}");
    }
}
