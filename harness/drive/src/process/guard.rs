//! The guard process (Linux): starts the server, adopts what it leaves behind, and ends everything when its control socket closes.
//!
//! It speaks lines over an abstract Unix socket whose random name only its harness knows. To the harness: `started PID`, `failed TEXT`,
//! `exited CODE SIGNAL`, `survivors PID:NAME,...`. From the harness: `signal NAME`. Synchronous on purpose: it must be small and quick.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

/// The first argument of a program that is to act as the guard.
pub(super) const ARGUMENT: &str = "__touchstone-guard";
/// How long descendants may take to end by themselves after the server.
const LEAVING: Duration = Duration::from_millis(250);
/// How often the process table is read while waiting for them.
const LOOK: Duration = Duration::from_millis(5);

/// Acts as the guard, and never returns, when the program was started as one. Every `main` that opens connections calls this first.
pub fn run_if_requested() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ARGUMENT) {
        return;
    }
    let name = arguments.next().unwrap_or_default();
    let program = arguments.next().unwrap_or_default();
    let mut command = Command::new(&program);
    command.args(arguments).process_group(0);
    let code = match connect(name.as_encoded_bytes()) {
        Some(control) => run(&control, command),
        None => 1,
    };
    std::process::exit(code);
}

/// The name of a control socket as an abstract address.
pub(super) fn address(name: &[u8]) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}

fn connect(name: &[u8]) -> Option<UnixStream> {
    UnixStream::connect_addr(&address(name).ok()?).ok()
}

/// What the guard waits for.
enum Happening {
    /// The harness wants a signal sent.
    Signal(Signal),
    /// The harness is gone.
    HarnessGone,
    /// A child ended; the server, or something that was adopted.
    Ended {
        pid: Pid,
        code: Option<i32>,
        signal: Option<i32>,
    },
}

fn run(control: &UnixStream, mut command: Command) -> i32 {
    // From now on orphans of the server become children of the guard.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            say(control, &format!("failed {error}"));
            return 1;
        }
    };
    let Some(server) = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default()) else {
        return 1;
    };
    // The server has these now; a copy here would keep its pipes open.
    if let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    say(control, &format!("started {}", server.as_raw_nonzero()));

    let (sender, happenings) = mpsc::channel();
    let listener = sender.clone();
    if let Ok(control) = control.try_clone() {
        std::thread::spawn(move || listen(control, &listener));
    }
    std::thread::spawn(move || reap(&sender));
    for happening in happenings {
        match happening {
            Happening::Signal(signal) => {
                let _ = rustix::process::kill_process_group(server, signal);
            }
            Happening::Ended { pid, code, signal } if pid == server => {
                let shown = |number: Option<i32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
                say(control, &format!("exited {} {}", shown(code), shown(signal)));
                let survivors = survivors();
                say(control, &format!("survivors {}", survivors.join(",")));
                break;
            }
            Happening::Ended { .. } => {}
            Happening::HarnessGone => break,
        }
    }
    end_everything(server);
    0
}

/// Reads what the harness wants until it is gone.
fn listen(control: UnixStream, sender: &mpsc::Sender<Happening>) {
    for line in BufReader::new(control).lines() {
        let Ok(line) = line else { break };
        let signal = match line.strip_prefix("signal ") {
            Some("SIGTERM") => Signal::TERM,
            Some("SIGINT") => Signal::INT,
            Some("SIGHUP") => Signal::HUP,
            Some("SIGKILL") => Signal::KILL,
            _ => continue,
        };
        if sender.send(Happening::Signal(signal)).is_err() {
            return;
        }
    }
    let _ = sender.send(Happening::HarnessGone);
}

/// Collects children as they end.
fn reap(sender: &mpsc::Sender<Happening>) {
    while let Ok(ended) = rustix::process::wait(WaitOptions::empty()) {
        if let Some((pid, status)) = ended {
            let happening = Happening::Ended {
                pid,
                code: status.exit_status(),
                signal: status.terminating_signal(),
            };
            if sender.send(happening).is_err() {
                return;
            }
        }
    }
}

/// Descendants that do not end by themselves within a moment, as `PID:NAME`.
fn survivors() -> Vec<String> {
    let deadline = Instant::now() + LEAVING;
    loop {
        let alive = descendants();
        if alive.is_empty() || Instant::now() > deadline {
            let name = |name: &str| {
                name.chars()
                    .map(|c| if c == ',' || c.is_control() { '_' } else { c })
                    .collect::<String>()
            };
            return alive
                .iter()
                .map(|(pid, comm)| format!("{}:{}", pid.as_raw_nonzero(), name(comm)))
                .collect();
        }
        std::thread::sleep(LOOK);
    }
}

/// Kills the server's process group and every descendant, until none is left.
fn end_everything(server: Pid) {
    let _ = rustix::process::kill_process_group(server, Signal::KILL);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let alive = descendants();
        if alive.is_empty() || Instant::now() > deadline {
            return;
        }
        for (pid, _) in alive {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(LOOK);
    }
}

/// Living descendants of this process, with their names.
fn descendants() -> Vec<(Pid, String)> {
    let mut children: BTreeMap<i32, Vec<(i32, String)>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // The name stands in parentheses and may hold anything, so the fields after it are counted from its end.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else {
            continue;
        };
        let mut fields = stat[close + 1..].split_whitespace();
        let state = fields.next().unwrap_or_default();
        let parent = fields.next().and_then(|field| field.parse::<i32>().ok());
        if let (Some(parent), false) = (parent, matches!(state, "Z" | "X")) {
            children
                .entry(parent)
                .or_default()
                .push((pid, stat[open + 1..close].to_owned()));
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![rustix::process::getpid().as_raw_nonzero().get()];
    while let Some(parent) = parents.pop() {
        for (pid, name) in children.remove(&parent).into_iter().flatten() {
            parents.push(pid);
            if let Some(pid) = Pid::from_raw(pid) {
                found.push((pid, name));
            }
        }
    }
    found
}

/// Tells the harness something. When it is gone, the listener notices.
fn say(mut control: &UnixStream, line: &str) {
    let _ = control.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes());
}
