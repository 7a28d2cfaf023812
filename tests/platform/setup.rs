//! From nothing to arriving pushes, and back to nothing.

use std::fs;
use std::io::Write;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::fake::APP;
use super::{World, contains, without_secrets};
use crate::support::EXAMPLE;
use crate::support::host::{READ_TOKEN, open_terminal};
use crate::support::program::Program;

#[tokio::test(flavor = "multi_thread")]
async fn one_command_leads_to_genuine_pushes_and_another_back() {
    let world = World::new().await;
    let host = world.receiver();
    let before = world.fake.content();

    let mut setup = world.command("setup --yes --trial --wait 60").follow();
    setup.says("waiting up to 60 s for a push").await;
    assert_eq!(world.fake.push(APP, EXAMPLE).await, [Ok(200)]);
    let is_over = |lines: &[String]| lines.iter().any(|line| line.contains("enforce is safe"));
    let lines = setup.writes(is_over).await.join("\n");
    contains(
        &lines,
        &[
            "  upload the CA certificate `batchtask trial authority`",
            "  create the rule `batchtask` for all resource spaces",
            "/notifications/…`, signed, checked with the CA `batchtask trial authority`",
            "done: activate the rule `batchtask`",
            "CA certificate: uploaded, not verified",
            "to undo it: batchtask platform remove",
            "signature  valid, timestamp in seconds",
        ],
    );
    assert_eq!(world.changes(), ["POST", "POST", "POST", "PUT"]);
    assert_eq!(world.fake.state().store.access_codes, 0);

    let content = world.fake.content();
    let again = world.run("setup").expect(0);
    contains(
        &again.stdout,
        &["nothing to change", "the platform is set up"],
    );
    assert!(world.changes().is_empty());
    assert_eq!(world.fake.content(), content);
    world.run("status").expect(0);

    world.run("remove --yes").expect(0);
    assert_eq!(world.fake.content(), before);
    assert!(world.fake.push(APP, EXAMPLE).await.is_empty());
    let again = world.run("remove").expect(0);
    contains(&again.stdout, &["nothing to change"]);
    host.stop();
}

/// The chain that a CA issues over ACME ends before the root, which this system has.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_from_a_ca_its_root_is_uploaded() {
    let world = World::with_scheme("http").await;
    let cache = world.path("acme");
    let command = || {
        world
            .command("setup --yes")
            .variable(("BATCHTASK_URL", "https://receiver.example.com"))
            .variable(("BATCHTASK_ACME_DOMAINS", "receiver.example.com"))
            .variable(("BATCHTASK_ACME_CACHE", cache.to_str().unwrap()))
    };
    let early = without_secrets(command().run()).expect(2);
    contains(
        &early.stderr,
        &["has issued no certificate yet", "start the receiver first"],
    );

    let root = authority("A root", None);
    let intermediate = authority("An intermediate", Some(&root.1));
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["receiver.example.com".to_owned()]).unwrap();
    let server = server.signed_by(&key, &intermediate.1).unwrap();
    fs::create_dir(&cache).unwrap();
    let chain = server.pem() + &intermediate.0 + &key.serialize_pem();
    fs::write(cache.join("certificate.pem"), chain).unwrap();
    let roots = world.path("roots.pem");
    let roots = || ("SSL_CERT_FILE", roots.to_str().unwrap());
    fs::write(roots().1, authority("Another root", None).0).unwrap();
    let unknown = without_secrets(command().variable(roots()).run()).expect(2);
    contains(
        &unknown.stderr,
        &["its root is `CN=A root`", "name the file"],
    );

    fs::write(roots().1, root.0).unwrap();
    let done = without_secrets(command().variable(roots()).run()).expect(0);
    contains(
        &done.stdout,
        &[
            "upload the CA certificate `A root`",
            "the platform is set up",
        ],
    );
}

/// The certificate of an authority, and the authority.
fn authority(
    name: &str,
    issuer: Option<&Issuer<'static, KeyPair>>,
) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = match issuer {
        None => params.self_signed(&key),
        Some(issuer) => params.signed_by(&key, issuer),
    };
    (certificate.unwrap().pem(), Issuer::new(params, key))
}

/// The receiver refuses what the rule of another token signs, and a setup repairs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_found_and_repaired() {
    let world = World::new().await;
    let host = world.receiver();
    world.run("setup --yes").expect(0);
    set_token(&world, "0therToken");
    assert_eq!(world.fake.push(APP, EXAMPLE).await, [Ok(401)]);
    let trial = world.run("trial --wait 1").expect(1);
    contains(
        &trial.stderr,
        &["no push arrived within 1 s", "platform status"],
    );
    let status = world.run("status").expect(1);
    contains(
        &status.stdout,
        &["fault", "pushes are signed with another token"],
    );
    let repaired = world.run("setup --yes").expect(0);
    contains(
        &repaired.stdout,
        &["done: change the action to", "another token"],
    );
    assert_eq!(world.fake.push(APP, EXAMPLE).await, [Ok(200)]);

    // A platform that hides the token.
    set_token(&world, "****");
    world.run("setup").expect(0);
    let rewritten = world.run("setup --yes --rewrite").expect(0);
    contains(&rewritten.stdout, &["it is to be written again"]);
    assert_eq!(world.fake.push(APP, EXAMPLE).await, [Ok(200)]);
    host.stop();
}

/// Replaces the token of the action behind the back of the platform.
fn set_token(world: &World, token: &str) {
    let mut state = world.fake.state();
    let action = &mut state.store.actions.items[0];
    let stored = action.pointer_mut("/channel_detail/http_forwarding/token");
    *stored.unwrap() = token.into();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_reports_what_the_signature_proved() {
    for (signature, token, code, text) in [
        ("report", super::TOKEN, 0, "enforce is safe"),
        (
            "report",
            "0therToken",
            1,
            "does not prove the sender: the signature does not match",
        ),
        ("off", super::TOKEN, 0, "its signature was not checked"),
    ] {
        let world = World::new().await;
        let host = world.receiver_with(signature);
        world.run("setup --yes").expect(0);
        set_token(&world, token);
        let mut trial = world.command("trial --wait 60").follow();
        trial.says("waiting up to 60 s").await;
        assert_eq!(world.fake.push(APP, EXAMPLE).await, [Ok(200)]);
        if code == 0 {
            trial
                .writes(|lines| lines.iter().any(|line| line.contains(text)))
                .await;
        } else {
            trial.says(text).await;
        }
        assert_eq!(trial.code(), Some(code));
        host.stop();
    }
}

#[test]
fn a_trial_needs_a_receiver_and_its_token() {
    let trial = |token| {
        let trial = Program::new(["platform", "trial", "--url", "http://127.0.0.1:1"]);
        trial.variable(("BATCHTASK_READ_TOKEN", token)).run()
    };
    contains(&trial("").expect(2).stderr, &["there is no read token"]);
    contains(&trial(READ_TOKEN).expect(3).stderr, &["cannot reach"]);
}

/// The authority of `tls_cert` is used if `ca` is not set.
#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_found_in_the_chain_of_the_server() {
    let world = World::new().await;
    let host = world.receiver();
    let without_ca = |change: &str| {
        let path = world.path("batchtask.toml");
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("ca = "));
        let text = lines.collect::<Vec<_>>().join("\n");
        fs::write(path, text.replace("cert.pem", change)).unwrap();
    };
    without_ca("cert.pem");
    world.run("setup --yes").expect(0);
    assert_eq!(world.fake.push(APP, EXAMPLE).await, [Ok(200)]);

    let chain = fs::read_to_string(world.path("cert.pem")).unwrap();
    let leaf = chain.split_inclusive("-----END CERTIFICATE-----\n").next();
    fs::write(world.path("leaf.pem"), leaf.unwrap()).unwrap();
    without_ca("leaf.pem");
    let ended = world.run("setup --yes").expect(2);
    contains(
        &ended.stderr,
        &["`tls_cert` cannot be used", "does not end with the CA"],
    );
    host.stop();
}

/// What a setup cannot repair is an error of the setup.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_is_left_is_reported() {
    let world = World::new().await;
    let mut parameters = rcgen::CertificateParams::default();
    let name = rcgen::DnType::CommonName;
    parameters.distinguished_name.push(name, "expired CA");
    parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let expired = parameters.self_signed(&key).unwrap().pem();
    fs::write(world.path("ca.pem"), expired).unwrap();
    let ended = world.run("setup --yes").expect(1);
    contains(
        &ended.stdout,
        &["fault    the CA certificate expired on 2020-01-01"],
    );
    contains(&ended.stderr, &["pushes will not arrive as wanted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_without_a_confirmation() {
    let world = World::new().await;
    let content = world.fake.content();
    let refused = world.run("setup").expect(2);
    contains(&refused.stdout, &["changes:\n  upload the CA certificate"]);
    contains(&refused.stderr, &["nothing was changed", "pass `--yes`"]);
    for (answer, code) in [("n\n", 1), ("\n", 1), ("y\n", 0)] {
        assert_eq!(world.fake.content(), content);
        assert!(world.changes().is_empty());
        let (mut ours, theirs) = open_terminal();
        ours.write_all(answer.as_bytes()).unwrap();
        let ended = world.command("setup").with_stdin(theirs).run();
        let ended = without_secrets(ended.expect(code));
        contains(&ended.stderr, &["Make these changes? [y/N]"]);
        if code == 1 {
            contains(&ended.stderr, &["not confirmed: nothing was changed"]);
        }
    }
    assert_eq!(world.changes().len(), 4);
    let content = world.fake.content();
    world.run("remove").expect(2);
    assert_eq!(world.fake.content(), content);
}
