//! An AMQP queue instead of the webhook, the backlog policy, and the access code.

use super::{World, contains};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_set_up_and_an_access_code_only_on_request() {
    let world = World::new().await;
    let queue = "--platform-queue batchtask-queue";
    let before = world.fake.content();
    world.run("setup --yes --new-access-code").expect(2);
    world.run(&format!("setup --yes --trial {queue}")).expect(2);
    assert_eq!(world.fake.content(), before);

    let setup = world.run(&format!("setup --yes {queue}")).expect(0);
    contains(
        &setup.stdout,
        &["done: forward to the queue `batchtask-queue`"],
    );
    assert_eq!(world.fake.state().store.access_codes, 0);
    let created = world.run(&format!("setup --yes {queue} --new-access-code"));
    let created = created.expect(0).stdout;
    contains(
        &created,
        &[
            "create an access code for AMQP, which makes the one before it invalid",
            "access key:  AbCd1234",
            "access code: madeUpAccessCode0",
        ],
    );
    assert_eq!(world.fake.state().store.access_codes, 1);
    world.run(&format!("status {queue}")).expect(0);
    world.run(&format!("remove --yes {queue}")).expect(0);
    assert_eq!(world.fake.content(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_policy_is_set_on_request() {
    let world = World::new().await;
    world.run("setup --yes").expect(0);
    assert!(world.fake.state().store.backlogs.items.is_empty());
    let policy = |bytes: u64| format!("setup --yes --backlog-bytes {bytes} --backlog-seconds 3600");
    let created = world.run(&policy(1_000_000)).expect(0);
    contains(
        &created.stdout,
        &["create the backlog policy `batchtask`, for all rules"],
    );
    let again = world.run(&policy(1_000_000)).expect(0);
    contains(&again.stdout, &["nothing to change"]);
    let changed = world.run(&policy(2_000_000)).expect(0);
    contains(
        &changed.stdout,
        &["from 1000000 bytes, 3600 s to 2000000 bytes, 3600 s"],
    );
    let stored = world.fake.state().store.backlogs.items[0].clone();
    assert_eq!(stored["backlog_size"], 2_000_000);
    world.run("setup --backlog-bytes 5").expect(2);
    world
        .run("setup --backlog-bytes 2000000000 --backlog-seconds 1")
        .expect(2);
    let removed = world.run("remove --yes").expect(0);
    contains(
        &removed.stdout,
        &["done: delete the backlog policy `batchtask`"],
    );
    assert!(world.fake.state().store.backlogs.items.is_empty());
}
