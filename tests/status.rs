//! `batchtask status`, its lines and exit codes; `batchtask health`, its exit codes.

use std::fs;

use crate::support::EXAMPLE;
use crate::support::host::{Host, Setup};
use crate::support::program::Program;

/// `batchtask status` of this host, with its admin listener.
fn status(host: &Host) -> Program {
    let program = Program::new(["status"]).at(host.address());
    program
        .argument("--admin")
        .argument(host.admin_address().to_string())
}

#[tokio::test]
async fn a_receiver_that_is_well_is_shown_at_a_glance() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(("BATCHTASK_UNPROCESSABLE", "accept"));
    let host = setup.with_admin().start();
    let empty = status(&host).run().expect(0).stdout;
    assert!(empty.contains("last arrival  never"), "{empty}");
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    host.client().post("{}").await.expect(200, "quarantined");
    let shown = status(&host).run().expect(0).stdout;
    for line in [
        format!("receiver      http://{}", host.address()),
        "ready         yes".to_owned(),
        "stale 0".to_owned(),
        "quarantine    1 bodies, the last at 20".to_owned(),
        "size_bytes ".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }
    let json = status(&host).argument("--json").run().expect(0).json();
    assert_eq!(json["ready"], true);
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(0));
    assert_eq!(json["summary"]["statuses"][0]["tasks"], 1);
    assert_eq!(json["quarantine"]["bodies"], 1);
    assert!(json["journal"]["size_bytes"].as_f64() > Some(0.0), "{json}");
    // Without the admin listener, its readiness is not known.
    let shown = Program::new(["status"]).at(host.address()).run().expect(0);
    assert!(
        shown.stdout.contains("ready         unknown"),
        "{}",
        shown.stdout
    );
}

#[tokio::test]
async fn a_receiver_that_is_not_ready_needs_attention() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).with_admin().start();
    fs::remove_file(folder.path().join("batchtask.db")).unwrap();
    let shown = status(&host).run().expect(1);
    assert!(
        shown.stdout.contains("ready         no"),
        "{}",
        shown.stdout
    );
    assert!(
        shown.stderr.contains("not ready: journal"),
        "{}",
        shown.stderr
    );
    // The reason stays visible when pushes are refused because of it.
    for _ in 0..8 {
        let answer = host.client().post(EXAMPLE).await;
        answer.expect(503, "journal-unavailable");
    }
    let refusing = status(&host).run().expect(1).stderr;
    for part in ["were refused", "; journal: `", "was removed or replaced"] {
        assert!(refusing.contains(part), "{part}: {refusing}");
    }
    let json = status(&host).argument("--json").run().expect(1).json();
    assert_eq!(json["ready"], false);
    assert_ne!(json["problems"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn refusals_and_missing_receivers_have_their_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).with_admin().start();
    let wrong = status(&host).variable(("BATCHTASK_READ_TOKEN", "another-token-0123456789"));
    assert!(
        wrong
            .run()
            .expect(1)
            .stderr
            .contains("BATCHTASK_READ_TOKEN")
    );
    Program::new(["status"]).run().expect(2);
    let admin = Program::new(["status", "--admin", "127.0.0.1:1"]).at(host.address());
    assert!(admin.run().expect(3).stderr.contains("127.0.0.1:1"));
    let address = host.address();
    host.stop();
    Program::new(["status"]).at(address).run().expect(3);
}

#[tokio::test]
async fn an_admin_listener_on_a_unix_socket_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("admin").display());
    let setup = Setup::in_folder(folder.path());
    let host = setup.with_admin_on(socket.clone().leak()).start();
    let shown = Program::new(["status", "--admin", &socket]).at(host.address());
    let shown = shown.run().expect(0).stdout;
    assert!(shown.contains("ready         yes"), "{shown}");
    let configured = Program::new(["status"]).at(host.address());
    let shown = configured.variable(("BATCHTASK_ADMIN", &socket)).run();
    assert!(shown.expect(0).stdout.contains("ready         yes"));
}

fn health(host: &Host) -> Program {
    Program::new(["health", "--admin", &host.admin_address().to_string()])
}

/// As the health check of a container runs it: without a token.
#[tokio::test]
async fn the_health_check_asks_whether_pushes_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).with_admin().start();
    assert_eq!(health(&host).run().expect(0).stdout, "ready\n");
    fs::remove_file(folder.path().join("batchtask.db")).unwrap();
    let shown = health(&host).run().expect(1);
    assert!(shown.stderr.contains("not ready: journal"), "{shown:?}");
    let alive = health(&host).argument("--alive").run().expect(0);
    assert_eq!(alive.stdout, "alive\n");
    let gone = health(&host);
    host.kill();
    gone.run().expect(3);
}

#[tokio::test]
async fn the_health_check_reads_the_configuration_of_the_receiver() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("admin").display());
    let setup = Setup::in_folder(folder.path());
    let _host = setup.with_admin_on(socket.clone().leak()).start();
    let file = folder.path().join("batchtask.toml");
    let health = |admin: &str| {
        fs::write(&file, format!("admin = \"{admin}\"\n")).unwrap();
        Program::new(["health", "--config"]).argument(&file).run()
    };
    health(&socket).expect(0);
    let off = health("off").expect(2);
    assert!(off.stderr.contains("`admin` is `off`"), "{off:?}");
    let refused = health("nowhere").expect(2);
    assert!(refused.stderr.contains("admin"), "{refused:?}");
}
