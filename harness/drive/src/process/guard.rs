//! The guard process (Linux): starts the server, adopts what it leaves behind, and ends everything when its control socket closes.
//!
//! It is the same program as the harness, started with [`ARGUMENT`] as its first argument and the control socket as its standard input. Over
//! that socket it is handed the server's three streams, says [`Report`]s, and is told `signal NAME`. Environment and working directory are the
//! server's from the start.
//!
//! One thread that sleeps in `poll` until the harness, a child or a signal wakes it: it must be small and quick, and cannot miss anything
//! between two looks. As a "child subreaper" it becomes the parent of every orphan below it, so having no children means that nothing of the
//! server's tree is left.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Error, ErrorKind, IoSliceMut, Read as _, Result, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use touchstone_core::trace::Survivor;

use super::control::Report;
use super::{Exit, LEAVING, ResourceLimits};

/// The first argument of a program that is to act as the guard.
pub(super) const ARGUMENT: &str = "__touchstone-guard";
/// How long killed processes may take to go.
const DYING: Duration = Duration::from_secs(5);
/// How often the tree is looked through while killed processes go; something may have been started between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How many times new processes are looked for while a tree is being stopped.
const STOP_ROUNDS: usize = 100;
/// How often processes are counted where their number is limited.
const COUNT: Duration = Duration::from_millis(100);
/// Processes that are told by name.
const TOLD: usize = 50;

/// Acts as the guard, and never returns, when the program was started as one. Every `main` that opens connections calls this first.
pub fn run_if_requested() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == ARGUMENT) {
        std::process::exit(i32::from(run(arguments).is_err()));
    }
}

/// Whether this process was started as a guard, but does not act as one.
pub(super) fn was_requested() -> bool {
    std::env::args_os().nth(1).is_some_and(|first| first == ARGUMENT)
}

/// Starts the program (limits, path, name to give it, arguments) and watches over it until the harness is gone or it has ended.
fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    // Without a terminal, Ctrl-C and a hang-up reach the harness only, and the server cannot prompt on it.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut control = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let [stdin, stdout, stderr] = receive_streams(&control)?;
    let children = wake_on(&[SIGCHLD])?;
    let farewell = wake_on(&[SIGTERM, SIGINT, SIGHUP])?;

    let limits = arguments.next().unwrap_or_default();
    let limits = limits
        .to_str()
        .and_then(ResourceLimits::parse)
        .ok_or(ErrorKind::InvalidInput)?;
    limits.apply()?;
    let mut command = Command::new(arguments.next().unwrap_or_default());
    command.arg0(arguments.next().unwrap_or_default()).args(arguments);
    command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
    let spawned = command.spawn();
    // The server has its streams now; a copy here would keep them open.
    drop(command);
    match spawned {
        Ok(child) => {
            let server = i32::try_from(child.id())
                .ok()
                .and_then(Pid::from_raw)
                .ok_or(ErrorKind::InvalidData)?;
            // When this fails the harness is gone, and the first look at the socket shows it.
            let _ = control.write_all(Report::Started { pid: child.id() }.line().as_bytes());
            control.set_nonblocking(true)?;
            Guard {
                control,
                children,
                farewell,
                server: Some(server),
                childless: false,
                most_processes: limits.processes,
                orders: Vec::new(),
            }
            .watch();
            Ok(())
        }
        Err(error) => control.write_all(
            Report::Failed {
                code: error.raw_os_error().unwrap_or(0),
            }
            .line()
            .as_bytes(),
        ),
    }
}

/// The server's stdin, stdout and stderr, which the harness has put into the socket before it started the guard.
fn receive_streams(control: &UnixStream) -> Result<[OwnedFd; 3]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(
        control,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut streams = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            streams.extend(received);
        }
    }
    streams.try_into().map_err(|_| Error::from(ErrorKind::InvalidData))
}

/// A stream that becomes readable when one of the signals arrives.
fn wake_on(signals: &[i32]) -> Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    for signal in signals {
        signal_hook::low_level::pipe::register(*signal, writer.try_clone()?)?;
    }
    Ok(reader)
}

struct Guard {
    control: UnixStream,
    /// Readable when a child has ended.
    children: UnixStream,
    /// Readable when somebody wants the guard itself to end.
    farewell: UnixStream,
    /// The server, until it is reaped: afterwards its number may belong to somebody else.
    server: Option<Pid>,
    /// Whether nothing is left below this process.
    childless: bool,
    /// Processes that may be below this one at the same time.
    most_processes: Option<u64>,
    /// The beginning of a line from the harness.
    orders: Vec<u8>,
}

impl Guard {
    fn watch(mut self) {
        if self.until_exit() {
            self.tell_survivors();
        }
        self.end_everything();
    }

    /// Serves the harness until the server has ended, which is told; false when the harness is gone first.
    fn until_exit(&mut self) -> bool {
        loop {
            self.sleep(self.most_processes.map(|_| Instant::now() + COUNT));
            if let Some(exit) = self.reap() {
                return self.say(&Report::Exited(exit));
            }
            if let Some(most) = self.most_processes {
                let count = descendants().len() as u64;
                if count > most {
                    self.say(&Report::TooMany(count));
                    return match self.end_everything() {
                        Some(exit) => self.say(&Report::Exited(exit)),
                        None => false,
                    };
                }
            }
            if !self.obey() {
                return false;
            }
        }
    }

    /// Gives what is left a moment to end by itself, then tells what has not.
    fn tell_survivors(&mut self) {
        let deadline = Instant::now() + LEAVING;
        while !self.childless && Instant::now() < deadline {
            self.sleep(Some(deadline));
            self.reap();
            if !self.obey() {
                return;
            }
        }
        if !self.childless {
            let processes: Vec<Survivor> = descendants()
                .into_iter()
                .filter(|process| process.alive)
                .map(Process::survivor)
                .take(TOLD)
                .collect();
            if !processes.is_empty() {
                self.say(&Report::Survivors(processes));
            }
        }
    }

    /// Kills every descendant, until none is left. Tells how the server ended, if that was not known.
    fn end_everything(&mut self) -> Option<Exit> {
        let deadline = Instant::now() + DYING;
        let mut exit = self.reap();
        while !self.childless && Instant::now() < deadline {
            // A stopped process starts no others, so that a tree that grows all the time can be killed too.
            let mut stopped = BTreeSet::new();
            for _ in 0..STOP_ROUNDS {
                let before = stopped.len();
                for process in descendants() {
                    if stopped.insert(process.pid.as_raw_pid()) {
                        let _ = rustix::process::kill_process(process.pid, Signal::STOP);
                    }
                }
                if stopped.len() == before {
                    break;
                }
            }
            for process in stopped.into_iter().filter_map(Pid::from_raw) {
                let _ = rustix::process::kill_process(process, Signal::KILL);
            }
            let look = Instant::now() + LOOK;
            while !self.childless && Instant::now() < look {
                let mut awaited = [PollFd::new(&self.children, PollFlags::IN)];
                let _ = rustix::event::poll(&mut awaited, timeout(Some(look)).as_ref());
                exit = self.reap().or(exit);
            }
        }
        exit
    }

    /// Sleeps until the harness, a child or a signal has something to say.
    fn sleep(&self, until: Option<Instant>) {
        let mut awaited =
            [&self.control, &self.children, &self.farewell].map(|stream| PollFd::new(stream, PollFlags::IN));
        // An interruption is a reason to look, too.
        let _ = rustix::event::poll(&mut awaited, timeout(until).as_ref());
    }

    /// Collects children that have ended, and gives back how the server did if it is among them.
    fn reap(&mut self) -> Option<Exit> {
        let mut ignored = [0; 64];
        while matches!(self.children.read(&mut ignored), Ok(1..)) {}
        let mut exit = None;
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid) == self.server => {
                    self.server = None;
                    exit = Some(Exit {
                        code: status.exit_status(),
                        signal: status.terminating_signal(),
                    });
                }
                Ok(Some(_)) => {}
                Ok(None) => return exit,
                Err(error) => {
                    self.childless = error == rustix::io::Errno::CHILD;
                    return exit;
                }
            }
        }
    }

    /// Does what the harness wants; false when it is gone, or somebody else wants the guard to end.
    fn obey(&mut self) -> bool {
        let mut signal = [0];
        if matches!(self.farewell.read(&mut signal), Ok(1..)) {
            return false;
        }
        let mut bytes = [0; 256];
        loop {
            match self.control.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.orders.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        while let Some(end) = self.orders.iter().position(|byte| *byte == b'\n') {
            let order: Vec<u8> = self.orders.drain(..=end).collect();
            let signal = match order.trim_ascii_end() {
                b"signal SIGTERM" => Signal::TERM,
                b"signal SIGINT" => Signal::INT,
                b"signal SIGHUP" => Signal::HUP,
                b"signal SIGKILL" => Signal::KILL,
                _ => continue,
            };
            if let Some(server) = self.server {
                let _ = rustix::process::kill_process_group(server, signal);
            }
        }
        true
    }

    /// Tells the harness something; false when it is gone.
    fn say(&mut self, report: &Report) -> bool {
        self.control.write_all(report.line().as_bytes()).is_ok()
    }
}

/// The time left, as the system wants it.
fn timeout(until: Option<Instant>) -> Option<Timespec> {
    let left = until?.saturating_duration_since(Instant::now());
    Some(Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    })
}

/// A process below this one.
struct Process {
    pid: Pid,
    name: Vec<u8>,
    alive: bool,
}

impl Process {
    fn survivor(self) -> Survivor {
        let pid = u32::try_from(self.pid.as_raw_pid()).unwrap_or_default();
        Survivor {
            pid,
            name: String::from_utf8_lossy(&self.name).into_owned(),
        }
    }
}

/// Everything below this process.
fn descendants() -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some((parent, process)) = read_process(&entry.file_name(), &entry.path()) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![rustix::process::getpid().as_raw_pid()];
    while let Some(parent) = parents.pop() {
        for process in children.remove(&parent).into_iter().flatten() {
            parents.push(process.pid.as_raw_pid());
            found.push(process);
        }
    }
    found
}

/// A process and the number of its parent, from an entry of `/proc`.
fn read_process(entry: &OsStr, folder: &std::path::Path) -> Option<(i32, Process)> {
    let pid = Pid::from_raw(entry.to_str()?.parse().ok()?)?;
    let mut stat = Vec::new();
    File::open(folder.join("stat")).ok()?.read_to_end(&mut stat).ok()?;
    // The name stands in parentheses and may hold anything, even parentheses and bytes that are no text: the fields are behind the last one.
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let name = stat.get(open + 1..close)?.to_vec();
    let fields: Vec<&str> = std::str::from_utf8(stat.get(close + 1..)?)
        .ok()?
        .split_ascii_whitespace()
        .collect();
    let parent = fields.get(1)?.parse().ok()?;
    let threads: u32 = fields.get(17)?.parse().ok()?;
    // A process whose first thread has ended looks like a zombie while its other threads run on.
    let alive = !matches!(*fields.first()?, "Z" | "X") || threads > 1;
    Some((parent, Process { pid, name, alive }))
}
