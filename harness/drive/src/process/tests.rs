//! Servers without a guard. What only a guard can do is tested where there is a program that can act as one.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::task::LocalSet;
use touchstone_core::trace::TransportKind;

use super::{Exit, Ladder, ProcessOptions, ServerProcess, SpawnError, Streams};
use crate::tap::{DEFAULT_TRACE_BYTES, Tap};
use crate::target::CommandTarget;

/// Far more than anything here needs.
const LONG: Duration = Duration::from_secs(30);

fn locally<T>(work: impl AsyncFnOnce(Tap) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let tap = Tap::new("test", TransportKind::Stdio, DEFAULT_TRACE_BYTES);
        tokio::time::timeout(LONG, work(tap)).await.expect("it ends")
    })
}

async fn script(script: &str, tap: &Tap) -> (ServerProcess, Streams) {
    let target = CommandTarget::new("sh", ["-c".into(), script.into()]);
    ServerProcess::start(&target, &ProcessOptions::default(), tap)
        .await
        .unwrap()
}

/// Reads to the end of the stream, which comes when nobody has it open any more.
async fn read_all(streams: &mut Streams) -> String {
    let mut text = String::new();
    streams.stdout.read_to_string(&mut text).await.unwrap();
    text
}

#[test]
fn dropping_the_handle_ends_the_group() {
    locally(async |tap| {
        let (process, mut streams) = script("sleep 1000 & (sleep 1000 &) ; echo up; sleep 1000", &tap).await;
        let mut up = [0; 3];
        streams.stdout.read_exact(&mut up).await.unwrap();
        drop(process);
        assert_eq!(read_all(&mut streams).await, "", "all of them had stdout open");
    });
}

#[test]
fn what_the_server_leaves_behind_in_its_group_ends_soon_after_it() {
    locally(async |tap| {
        let (mut process, mut streams) = script("sleep 1000 & exit 4", &tap).await;
        assert_eq!(
            process.wait_exit(LONG).await,
            Some(Exit {
                code: Some(4),
                signal: None
            })
        );
        read_all(&mut streams).await;
        assert!(process.signal("SIGTERM").unwrap_err().contains("exited with code 4"));
    });
}

#[test]
fn the_ladder_ends_what_ignores_everything_it_can() {
    locally(async |tap| {
        let (mut process, streams) = script("trap '' TERM HUP INT; echo up; while :; do sleep 0.05; done", &tap).await;
        let Streams { stdin, mut stdout, .. } = streams;
        stdout.read_exact(&mut [0; 3]).await.unwrap();
        drop(stdin);
        assert!(process.signal("SIGUSR1").is_err());
        let short = Duration::from_millis(100);
        let exit = process
            .end(&Ladder {
                stdin: short,
                term: short,
                kill: LONG,
            })
            .await;
        assert_eq!(
            exit.map(|exit| exit.to_string()).as_deref(),
            Some("was ended by SIGKILL")
        );
    });
}

#[test]
fn the_server_sees_its_environment_and_its_directory() {
    locally(async |tap| {
        let folder = tempfile::tempdir().unwrap();
        let mut target = CommandTarget::new("sh", ["-c".into(), "pwd; echo $A_KEY $PATH $CARGO_MANIFEST_DIR".into()]);
        target.directory = Some(folder.path().to_path_buf());
        target.clean_environment = true;
        target.environment.push(("A_KEY".to_owned(), "value".to_owned()));
        let (_process, mut streams) = ServerProcess::start(&target, &ProcessOptions::default(), &tap)
            .await
            .unwrap();
        let text = read_all(&mut streams).await;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], folder.path().canonicalize().unwrap().to_str().unwrap());
        assert_eq!(lines[1], "value /usr/local/bin:/usr/bin:/bin");
    });
}

#[test]
fn a_script_whose_interpreter_is_missing_is_explained() {
    use std::os::unix::fs::PermissionsExt as _;
    locally(async |tap| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("server");
        std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let Err(error) =
            ServerProcess::start(&CommandTarget::new(&program, []), &ProcessOptions::default(), &tap).await
        else {
            panic!()
        };
        assert!(matches!(error, SpawnError::Refused { .. }));
        assert!(error.to_string().contains("/no/such/interpreter"), "{error}");
    });
}
