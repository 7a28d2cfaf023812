//! The client against RabbitMQ.

use std::time::Duration;

use batchtask_amqp::Publisher;

use crate::brokers::rabbit::{OTHER_QUEUE, QUEUE, Rabbit};
use crate::brokers::{ACCESS_CODE, eventually};
use crate::support::{Running, bodies, credentials, options};

/// How often the broker is killed.
const KILLS: usize = 2;

async fn publish(rabbit: &Rabbit, queue: &str, bodies: &[String]) {
    let mut options = options(&rabbit.url(), &rabbit.certificates.ca);
    options.queues = vec![queue.into()];
    let publisher = Publisher::open(&options, credentials(&[ACCESS_CODE])).await;
    let publisher = publisher.expect("the broker works");
    for body in bodies {
        let published = publisher.publish(body.clone().into()).await;
        published.expect("the broker accepts it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_survive_kills_of_the_broker_and_failures_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut rabbit) = Rabbit::start(folder.path()).await else {
        return;
    };
    let mut both = options(&rabbit.url(), &rabbit.certificates.ca);
    both.queues = vec![QUEUE.into(), OTHER_QUEUE.into()];
    let client = Running::with(both.clone(), &[ACCESS_CODE], Duration::from_millis(2));
    client.is_well().await;
    let mut all = 0;
    for kill in 0..KILLS {
        for queue in [QUEUE, OTHER_QUEUE] {
            let sent = bodies(&format!("{queue} {kill}"), 300);
            publish(&rabbit, queue, &sent).await;
            all += sent.len();
        }
        rabbit.kill();
        client.is("cut off", |state| !state.is_connected).await;
        rabbit.restart().await;
        client.is_well().await;
    }
    client.store.reaches(all).await;
    assert_eq!(client.store.distinct(), all);
    eventually("the queues are empty", async || {
        (rabbit.depth() == 0).then_some(())
    })
    .await;
    client.stop().await;

    // More than the client may have at once.
    let sent = bodies("backlog", 3000);
    publish(&rabbit, QUEUE, &sent).await;
    let client = Running::with(both.clone(), &[ACCESS_CODE], Duration::from_millis(2));
    client.store.reaches(sent.len()).await;
    eventually("the queues are empty", async || {
        (rabbit.depth() == 0).then_some(())
    })
    .await;
    assert_eq!(client.store.len(), sent.len());
    assert_eq!(client.metric("failures_total", "protocol"), 0.0);
    client.stop().await;

    let mut misspelt = both.clone();
    misspelt.queues = vec!["/amq/queue/misspelt".into()];
    let client = Running::start(misspelt);
    client
        .has_problem("refused the queue `/amq/queue/misspelt`")
        .await;
    client.stop().await;
    let client = Running::with(both.clone(), &["wrong"], Duration::ZERO);
    client.has_problem("refused the access key, its code").await;
    client.use_codes(&[ACCESS_CODE]);
    client.is_well().await;
    client.stop().await;
    rabbit.authority.change(|rules| rules.skew_ms = -600_000);
    let client = Running::start(both);
    client.has_problem("10 minutes ahead of").await;
    client.stop().await;
}
