//! No message is lost or stored twice when the host, the broker or connections die.

use std::time::Duration;

use super::brokers::rabbit::{QUEUE, Rabbit};
use super::brokers::rhea::Rhea;
use super::brokers::{ACCESS_CODE, ACCESS_KEY, eventually};
use super::{bodies, check_events, receiving, receiving_only};
use crate::support::host::{Host, Setup};
use crate::support::random::Random;
use crate::support::scale;

/// How many messages are sent between two events.
const MESSAGES: u64 = 150;

/// How often the host is killed, and how often connections are cut, by default.
const KILLS: usize = 6;

/// How often RabbitMQ is killed by default.
const BROKER_KILLS: usize = 2;

async fn accepted(host: &Host) -> f64 {
    host.metrics().await.value("batchtask_amqp_accepted_total")
}

/// Waits a moment in which messages are being received.
async fn moment(random: &mut Random) {
    tokio::time::sleep(Duration::from_millis(random.below(120) as u64)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_stored_once_after_kills_of_the_host_and_cut_connections() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let kills = scale("BATCHTASK_TEST_AMQP_KILLS", KILLS);
    let cuts = scale("BATCHTASK_TEST_AMQP_CUTS", KILLS);
    let mut random = Random::new(16);
    let (mut sent, mut logins) = (0, 0);
    let mut host = receiving_only(folder.path(), &broker).start();
    for round in 0..kills.max(cuts) {
        logins = broker.logins_after(logins).await;
        broker.publish(&bodies(sent..sent + MESSAGES), "text").await;
        sent += MESSAGES;
        moment(&mut random).await;
        if round < cuts {
            broker.cut().await;
            logins = broker.logins_after(logins).await;
            moment(&mut random).await;
        }
        if round < kills {
            host = host.kill_and_restart();
        }
    }
    for name in ["ready", "unsettled", "other"] {
        broker.counts(name, 0).await;
    }
    check_events(&mut host.client(), sent).await;
    let state = broker.state().await;
    eprintln!("{kills} kills of the host, {cuts} cuts, {sent} messages: {state}");
    assert!(logins >= (kills + cuts) as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_stored_once_after_kills_of_rabbitmq_and_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut rabbit) = Rabbit::start(folder.path()).await else {
        return;
    };
    let kills = scale("BATCHTASK_TEST_AMQP_BROKER_KILLS", BROKER_KILLS);
    let setup = Setup::in_folder(folder.path()).with_admin();
    let setup = receiving(setup, &rabbit.url(), &rabbit.certificates.ca)
        .variable(("BATCHTASK_AMQP_QUEUES", QUEUE));
    let mut host = setup.start();
    let mut random = Random::new(17);
    let mut sent = 0;
    for _ in 0..kills {
        send(&rabbit, sent..sent + MESSAGES).await;
        sent += MESSAGES;
        moment(&mut random).await;
        rabbit.kill();
        host = host.kill_and_restart();
        rabbit.restart().await;
        eventually("it receives again", async || {
            (accepted(&host).await > 0.0)
                .then_some(())
                .or((rabbit.depth() == 0).then_some(()))
        })
        .await;
    }
    eventually("the queue is empty", async || {
        (rabbit.depth() == 0).then_some(())
    })
    .await;
    check_events(&mut host.client(), sent).await;
    eprintln!("{kills} kills of RabbitMQ and the host, {sent} messages");
}

/// Publishes notifications to RabbitMQ, which confirms that they are durable.
async fn send(rabbit: &Rabbit, numbers: std::ops::Range<u64>) {
    let mut options = batchtask_amqp::Options::new(rabbit.url().parse().expect("a URL"));
    options.authorities = Some(std::fs::read(&rabbit.certificates.ca).expect("a file"));
    options.queues = vec![QUEUE.into()];
    let credentials = batchtask_amqp::Credentials {
        access_key: ACCESS_KEY.into(),
        access_codes: vec![ACCESS_CODE.into()],
    };
    let publisher = batchtask_amqp::Publisher::open(&options, credentials).await;
    let publisher = publisher.expect("the broker works");
    for body in bodies(numbers) {
        let published = publisher.publish(body.into()).await;
        published.expect("the broker accepts it");
    }
}
