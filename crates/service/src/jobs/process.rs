//! What a job says of the process that works on it.

use std::fs;

/// Where Linux tells what a process is; elsewhere nothing is known.
const HOST: &str = "/proc/sys/kernel/hostname";
const STATUS: &str = "/proc/self/status";

/// The name of this machine; empty where the system does not tell.
pub(super) fn host() -> String {
    fs::read_to_string(HOST).map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// The most memory this process has had so far, in bytes; `None` where the system does not tell.
pub(super) fn memory_peak() -> Option<u64> {
    peak_in(&fs::read_to_string(STATUS).ok()?)
}

fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes_and_anything_else_is_unknown() {
        assert_eq!(peak_in("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        for other in ["", "VmHWM:", "VmHWM: 12", "VmHWM: many kB"] {
            assert_eq!(peak_in(other), None, "{other}");
        }
    }
}
