//! What a server may take of the machine, where the user wants it limited (Linux, through the guard).
//!
//! Memory, file size and open files are limits of the system that every process of the server inherits; each process counts for itself. The number
//! of processes is counted over the whole tree by the guard: the system's own limit counts everything else that the user runs.

/// Most that a server may take. Nothing is limited that is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Address space of each process, in bytes.
    pub memory: Option<u64>,
    /// Size of each file that is written, in bytes.
    pub file_size: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Processes of the server and all that it has started, at the same time.
    pub processes: Option<u64>,
}

/// The smallest limits with which the guard itself can work.
const LEAST_MEMORY: u64 = 32 * 1024 * 1024;
/// See [`LEAST_MEMORY`].
const LEAST_OPEN_FILES: u64 = 16;

impl ResourceLimits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with them, if something is.
    ///
    /// # Errors
    /// When the guard could not live with them, or the platform has none.
    pub fn check(&self) -> Result<(), String> {
        if !cfg!(target_os = "linux") && !self.is_none() {
            return Err("resources can be limited on Linux only".to_owned());
        }
        match (self.memory, self.open_files, self.processes) {
            (Some(..LEAST_MEMORY), ..) => Err(format!(
                "the least memory that can be set is {} MiB",
                LEAST_MEMORY / 1024 / 1024
            )),
            (_, Some(..LEAST_OPEN_FILES), _) => Err(format!(
                "the least number of open files that can be set is {LEAST_OPEN_FILES}"
            )),
            (.., Some(0)) => Err("a server is one process at least".to_owned()),
            _ => Ok(()),
        }
    }

    /// One word from which [`ResourceLimits::parse`] reads them again.
    #[cfg(target_os = "linux")]
    pub(super) fn word(&self) -> String {
        let all = [self.memory, self.file_size, self.open_files, self.processes];
        let shown = |limit: Option<u64>| limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
        all.map(shown).join(",")
    }

    #[cfg(target_os = "linux")]
    pub(super) fn parse(word: &str) -> Option<Self> {
        let mut parts = word.split(',').map(|part| match part {
            "-" => Some(None),
            number => number.parse().ok().map(Some),
        });
        Some(Self {
            memory: parts.next()??,
            file_size: parts.next()??,
            open_files: parts.next()??,
            processes: parts.next()??,
        })
    }

    /// Sets what the system can limit, for this process and everything that it starts.
    #[cfg(target_os = "linux")]
    pub(super) fn apply(&self) -> std::io::Result<()> {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let set = |resource: Resource, limit: Option<u64>| match limit {
            Some(most) => setrlimit(
                resource,
                Rlimit {
                    current: Some(most),
                    maximum: Some(most),
                },
            ),
            None => Ok(()),
        };
        set(Resource::As, self.memory)?;
        set(Resource::Fsize, self.file_size)?;
        set(Resource::Nofile, self.open_files)?;
        if !self.is_none() {
            // A server that runs into a limit must not leave its memory on the disk.
            set(Resource::Core, Some(0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn limits_survive_the_way_to_the_guard() {
        let limits = ResourceLimits {
            memory: Some(1 << 30),
            processes: Some(7),
            ..ResourceLimits::default()
        };
        assert_eq!(ResourceLimits::parse(&limits.word()), Some(limits));
        assert_eq!(
            ResourceLimits::parse(&ResourceLimits::default().word()),
            Some(ResourceLimits::default())
        );
        assert_eq!(ResourceLimits::parse("python"), None);
    }

    #[test]
    fn limits_that_the_guard_could_not_bear_are_refused() {
        let memory = ResourceLimits {
            memory: Some(1024),
            ..ResourceLimits::default()
        };
        assert!(memory.check().unwrap_err().contains("32 MiB"));
        assert_eq!(ResourceLimits::default().check(), Ok(()));
    }
}
