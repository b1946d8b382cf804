//! What guard and harness say to each other: one short line for each thing (Linux).

use touchstone_core::trace::Survivor;

use super::Exit;

/// What the guard tells the harness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Report {
    /// The server runs.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// The server could not be started.
    Failed {
        /// The error number of the system, or 0.
        code: i32,
    },
    /// The server ended.
    Exited(Exit),
    /// The server has started more processes than it may, and all are about to be killed.
    TooMany(u64),
    /// What outlived the server, about to be killed.
    Survivors(Vec<Survivor>),
}

impl Report {
    /// The line, newline included.
    pub(super) fn line(&self) -> String {
        let shown = |number: Option<i32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        match self {
            Self::Started { pid } => format!("started {pid}\n"),
            Self::Failed { code } => format!("failed {code}\n"),
            Self::TooMany(count) => format!("too-many {count}\n"),
            Self::Exited(exit) => format!("exited {} {}\n", shown(exit.code), shown(exit.signal)),
            Self::Survivors(processes) => {
                let entries: Vec<String> = processes
                    .iter()
                    .map(|process| format!("{}:{}", process.pid, plain(&process.name)))
                    .collect();
                format!("survivors {}\n", entries.join("\t"))
            }
        }
    }

    /// Reads a line, without its newline.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "started" => Some(Self::Started {
                pid: rest.parse().ok()?,
            }),
            "failed" => Some(Self::Failed {
                code: rest.parse().ok()?,
            }),
            "too-many" => Some(Self::TooMany(rest.parse().ok()?)),
            "exited" => {
                let (code, signal) = rest.split_once(' ')?;
                Some(Self::Exited(Exit {
                    code: code.parse().ok(),
                    signal: signal.parse().ok(),
                }))
            }
            "survivors" => {
                let survivor = |entry: &str| {
                    let (pid, name) = entry.split_once(':')?;
                    Some(Survivor {
                        pid: pid.parse().ok()?,
                        name: name.to_owned(),
                    })
                };
                Some(Self::Survivors(rest.split('\t').filter_map(survivor).collect()))
            }
            _ => None,
        }
    }
}

/// A process chooses its own name: nothing in it may look like framing.
fn plain(name: &str) -> String {
    name.chars()
        .map(|character| if character.is_control() { '_' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_as_they_were_said() {
        let survivors = vec![
            Survivor {
                pid: 7,
                name: "a, b: c".to_owned(),
            },
            Survivor {
                pid: 8,
                name: String::new(),
            },
        ];
        let reports = [
            Report::Started { pid: 12 },
            Report::Failed { code: 2 },
            Report::TooMany(300),
            Report::Exited(Exit {
                code: Some(0),
                signal: None,
            }),
            Report::Exited(Exit {
                code: None,
                signal: Some(9),
            }),
            Report::Survivors(survivors),
        ];
        for report in reports {
            let line = report.line();
            assert_eq!(Report::parse(line.strip_suffix('\n').unwrap()), Some(report));
        }
    }

    #[test]
    fn a_process_name_cannot_forge_a_report() {
        let line = Report::Survivors(vec![Survivor {
            pid: 7,
            name: "x\nexited 0 -\n\t9:y".to_owned(),
        }])
        .line();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(matches!(Report::parse(line.trim_end()), Some(Report::Survivors(processes)) if processes.len() == 1));
    }
}
