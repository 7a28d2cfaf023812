//! A setup or a removal that is interrupted after any call, and run again, ends in
//! the same state.

use batchtask_platform::{Client, Error};

use super::{Receiver, queue, remove, set_up, strangers, tamper};
use crate::fake::{Fake, Fault};
use crate::support::{client, options};

/// Runs `work` with an interruption after each possible number of calls, and then
/// again to the end. Checks that the result is always the same.
async fn interrupt<W, F>(prepare: impl AsyncFn(&Fake), work: W)
where
    W: Fn(Client) -> F,
    F: Future<Output = Result<Vec<String>, Error>>,
{
    let patient = |fake: &Fake| client(fake);
    let impatient = |fake: &Fake| {
        let mut options = options(fake);
        options.retry.attempts = 1;
        Client::new(options).unwrap()
    };
    let fake = Fake::start().await;
    prepare(&fake).await;
    fake.take_seen();
    work(patient(&fake)).await.unwrap();
    let calls = fake.take_seen().len();
    let expected = fake.content();
    assert!(calls >= 8, "{calls}");
    for place in 0..calls {
        for fault in [Fault::CutBefore, Fault::CutAfter] {
            let fake = Fake::start().await;
            prepare(&fake).await;
            fake.take_seen();
            fake.state().limit = Some((place, fault.clone()));
            work(impatient(&fake)).await.unwrap_err();
            fake.state().limit = None;
            work(patient(&fake)).await.unwrap();
            assert_eq!(fake.content(), expected, "{place} {fault:?}");
            assert!(work(patient(&fake)).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn an_interrupted_setup_ends_in_the_same_state() {
    let receiver = Receiver::new();
    for wanted in [receiver.wanted(), queue()] {
        let prepare = async |fake: &Fake| {
            strangers(fake).await;
        };
        interrupt(prepare, async |client| set_up(&client, &wanted).await).await;
    }
}

#[tokio::test]
async fn an_interrupted_change_ends_in_the_same_state() {
    let old = Receiver {
        url: "https://receiver.example.com/notifications/oLdSeCrEt",
        token: "oLdToKeN",
        ..Receiver::new()
    };
    let new = Receiver::new();
    let prepare = async |fake: &Fake| {
        set_up(&client(fake), &old.wanted()).await.unwrap();
        tamper(fake, |state| {
            state.store.rules.items[0]["active"] = false.into()
        });
        tamper(fake, |state| {
            state.store.rules.items[0]["select"] = "task_id".into()
        });
    };
    interrupt(prepare, async |client| set_up(&client, &new.wanted()).await).await;
}

#[tokio::test]
async fn an_interrupted_removal_ends_in_the_same_state() {
    let receiver = Receiver::new();
    for wanted in [receiver.wanted(), queue()] {
        let prepare = async |fake: &Fake| {
            strangers(fake).await;
            set_up(&client(fake), &wanted).await.unwrap();
        };
        interrupt(prepare, async |client| remove(&client, &wanted).await).await;
    }
}
