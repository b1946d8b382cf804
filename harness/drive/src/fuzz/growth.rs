//! What the process tree of a server holds: memory and open handles, read from `/proc`. Nothing is known elsewhere.

/// What a process and its descendants hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// Resident memory in KiB.
    pub memory: u64,
    /// Open files, sockets and pipes.
    pub handles: u64,
}

/// Processes of one tree that are looked at.
#[cfg(target_os = "linux")]
const MOST_PROCESSES: usize = 64;

/// What the tree below a process holds.
#[cfg(target_os = "linux")]
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let mut usage = Usage::default();
    let mut open = vec![pid];
    let mut seen = 0;
    while let Some(pid) = open.pop() {
        seen += 1;
        if seen > MOST_PROCESSES {
            break;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok();
        let resident = status.as_deref().and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        let handles = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .map(|entries| entries.count() as u64)
            .ok();
        match (resident, handles) {
            (Some(resident), Some(handles)) => {
                usage.memory += resident;
                usage.handles += handles;
            }
            // The root of the tree must be readable, or nothing can be told.
            _ if seen == 1 => return None,
            _ => {}
        }
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        open.extend(
            children
                .split_whitespace()
                .filter_map(|child| child.parse::<u32>().ok()),
        );
    }
    Some(usage)
}

/// What the tree below a process holds.
#[cfg(not(target_os = "linux"))]
pub(super) fn usage(_pid: u32) -> Option<Usage> {
    None
}

/// Calls in one round.
pub(super) const CALLS: usize = 16;
/// Rounds before anything is measured: interpreters and caches warm up.
pub(super) const WARM_UP: usize = 2;
/// Rounds after which a server that does not grow is believed.
pub(super) const FEWEST: usize = 3;
/// Rounds after which nobody waits for more growth.
pub(super) const MOST: usize = 40;

/// KiB a call that are no accident.
const PER_CALL: u64 = 64;
/// KiB in all that no collector of garbage leaves lying about.
const IN_ALL: u64 = 48 * 1024;
/// Rounds in which handles have to grow.
const ROUNDS: usize = 6;

/// What the samples of one tool say so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trend {
    /// It may still turn out either way.
    Open,
    /// It does not grow.
    Steady,
    /// Memory grows without end.
    Memory,
    /// Handles grow without end.
    Handles,
}

/// Reads samples, one before the first round and one after each.
pub(super) fn trend(samples: &[Usage]) -> Trend {
    let rounds = || samples.iter().zip(samples.iter().skip(1));
    let count = samples.len().saturating_sub(1);
    if count < FEWEST {
        return Trend::Open;
    }
    let calls = CALLS as u64;
    let handles = rounds().all(|(before, after)| after.handles >= before.handles + calls / 2);
    let memory = rounds().all(|(before, after)| after.memory >= before.memory + calls * PER_CALL);
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Trend::Open;
    };
    if handles && count >= ROUNDS {
        Trend::Handles
    } else if memory && last.memory - first.memory >= IN_ALL {
        Trend::Memory
    } else if (handles || memory) && count < MOST {
        Trend::Open
    } else {
        Trend::Steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(step: impl Fn(u64) -> Usage, count: u64) -> Vec<Usage> {
        (0..count).map(step).collect()
    }

    #[test]
    fn only_what_grows_in_every_round_and_far_enough_is_growth() {
        let leak = |round| Usage {
            memory: 10_000 + round * 16_384,
            handles: 10,
        };
        assert_eq!(trend(&samples(leak, 3)), Trend::Open);
        assert_eq!(trend(&samples(leak, 5)), Trend::Memory);
        let warm = |round: u64| Usage {
            memory: 10_000 + round.min(2) * 50_000,
            handles: 10 + round % 2,
        };
        assert_eq!(trend(&samples(warm, 5)), Trend::Steady);
        let handles = |round| Usage {
            memory: 10_000,
            handles: 10 + round * 16,
        };
        assert_eq!(trend(&samples(handles, 5)), Trend::Open);
        assert_eq!(trend(&samples(handles, 8)), Trend::Handles);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_holds_something() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.memory > 100 && usage.handles > 2, "{usage:?}");
    }
}
