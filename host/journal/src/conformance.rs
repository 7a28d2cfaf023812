//! The conformance suite: checks that every journal must pass.
//!
//! A backend calls [`conformance_tests!`](crate::conformance_tests) in its
//! tests, with a [`Factory`] that opens its journals:
//!
//! ```ignore
//! mod conformance {
//!     batchtask_journal::conformance_tests!(MyFactory::new());
//! }
//! ```
//!
//! Each check becomes a test of that name, with its own factory. The checks are
//! listed at the end of this file.
//!
//! | module | checks |
//! |---|---|
//! | `appending` | the stored content of an entry, and the outcomes of a batch |
//! | `signatures` | when the use of a signature is a replay |
//! | `quarantine` | rejects, their order and their bound |
//! | `order` | the state does not depend on the order of arrival |
//! | `filters` | which tasks a list contains |
//! | `pages` | limits and cursors of all lists |
//! | `history` | the events of one task |
//! | `feed` | the events of all tasks, in order of arrival |
//! | `summary` | counts over all tasks |
//! | `activity` | what arrived, by spans of time |
//! | `prune` | the removal of old tasks |
//! | `copies` | copies of the whole content, for backends that have them |
//! | `details` | what the platform tells about a task besides its events |
//! | `outbox` | the progress of sinks |
//! | `life` | validation, measures, restart and close |
//!
//! A journal with fewer abilities declares them with [`Capabilities`]. A store
//! that implements the guest's synchronous trait runs the suite inside
//! [`Sequential`]. [`Broken`] adds one fault to a journal: the tests of this
//! crate show that the suite finds every [`Fault`].

mod activity;
mod appending;
mod broken;
mod copies;
mod details;
mod factory;
mod feed;
mod filters;
mod fixture;
mod history;
mod life;
mod order;
mod outbox;
mod pages;
mod prune;
mod quarantine;
mod sequential;
mod signatures;
mod summary;

use std::pin::Pin;
use std::sync::Arc;

pub use self::broken::{Broken, Fault};
pub use self::factory::{Capabilities, Factory};
pub use self::sequential::Sequential;

use self::fixture::Suite;

/// One check of the suite.
pub struct Check {
    /// The name of the check, which is also that of its test.
    pub name: &'static str,
    run: fn(Suite) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Check {
    /// Runs the check. Must be called within a multi-threaded tokio runtime.
    ///
    /// # Panics
    /// If a journal of `factory` breaks a rule.
    pub async fn run(&self, factory: Arc<dyn Factory>) {
        (self.run)(Suite::new(factory)).await;
    }
}

/// Runs the check called `name`, see [`Check::run`].
///
/// # Panics
/// If there is no such check, or if it fails.
pub async fn run(name: &str, factory: Arc<dyn Factory>) {
    let check = CHECKS.iter().find(|check| check.name == name);
    let check = check.unwrap_or_else(|| panic!("there is no check called `{name}`"));
    check.run(factory).await;
}

/// Declares the list of checks, and the macro that makes a test of each. `$d` is
/// a dollar sign, for the inner macro.
macro_rules! checks {
    ($d:tt $($module:ident { $($name:ident)+ })+) => {
        /// All checks.
        pub const CHECKS: &[Check] = &[
            $($(Check {
                name: stringify!($name),
                run: |suite| Box::pin($module::$name(suite)),
            },)+)+
        ];

        /// Makes a test of each check of the suite. The argument is an
        /// expression for a [`Factory`](crate::conformance::Factory), which is
        /// evaluated for each test. The calling crate needs `tokio` with the
        /// features `macros` and `rt-multi-thread`.
        #[macro_export]
        macro_rules! conformance_tests {
            ($d factory:expr) => {
                $($(
                    #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $name() {
                        let factory = ::std::sync::Arc::new($d factory);
                        $d crate::conformance::run(stringify!($name), factory).await;
                    }
                )+)+
            };
        }
    };
}

checks! { $
    appending {
        an_event_is_recorded_word_for_word
        an_event_without_options_is_recorded
        every_source_is_kept
        every_flag_is_kept
        the_same_digest_is_a_duplicate
        the_first_arrival_of_a_digest_is_kept
        entries_of_a_batch_see_one_another
        a_batch_has_one_outcome_for_each_entry
        tasks_of_two_applications_are_two_tasks
        an_unknown_task_is_none
        the_least_request_ids_are_listed
        long_request_ids_stay_in_their_event
    }
    signatures {
        a_signature_admits_its_notification_again
        a_signature_admits_no_other_notification
        a_signature_of_a_reject_admits_it_again
        events_and_rejects_share_the_signatures
        a_signature_counts_within_its_batch
        a_signature_is_free_once_it_expired
        a_later_expiry_is_kept
        an_earlier_expiry_changes_nothing
        a_replay_changes_nothing
        the_signature_of_a_duplicate_is_remembered
        a_signature_survives_a_restart
        excess_signatures_are_forgotten_in_order_of_expiry
        a_clock_that_jumps_ahead_frees_no_signature
    }
    quarantine {
        a_reject_is_kept_word_for_word
        rejects_are_listed_newest_first
        the_same_reject_without_a_signature_is_kept_again
        the_oldest_rejects_are_dropped_and_counted
        a_reject_larger_than_the_quarantine_costs_the_others_nothing
        numbers_in_the_quarantine_are_not_reused
        large_rejects_do_not_push_small_ones_out
        a_reject_is_found_by_its_number
        a_reject_is_removed_with_its_bytes
    }
    order {
        the_order_of_arrival_changes_nothing
        rank_then_digest_decide_within_an_instant
        a_late_event_changes_no_state
        the_flags_of_a_task_are_those_of_all_its_events
        steps_do_not_depend_on_the_order_of_arrival
        the_steps_to_the_last_64_events_count
        events_without_a_time_have_the_order_of_their_arrival
    }
    filters {
        every_filter_restricts
        every_class_has_its_ranks
        a_search_text_has_no_wildcards
        a_text_with_nul_is_found
        a_long_text_is_searched_or_refused
        the_values_of_a_filter_are_alternatives
        flags_and_steps_are_alternatives
        stale_tasks_are_found
    }
    pages {
        pages_follow_one_another_in_both_orders
        a_previous_page_is_the_page_before
        every_sort_holds_on_all_pages
        tasks_are_counted_up_to_a_bound
        the_limit_of_a_page_is_clamped
        a_page_has_at_most_500_items
        a_cursor_stays_where_it_is_while_tasks_move
        filters_hold_on_every_page
        a_cursor_is_short_whatever_the_ids
        a_cursor_of_another_list_is_invalid
        pages_stay_near_a_mebibyte
        an_item_larger_than_a_page_has_a_page_of_its_own
    }
    history {
        a_history_is_paged_with_the_status_before_each_page
        a_history_cursor_stays_where_it_is
        a_late_event_is_marked
        the_history_of_an_unknown_task_is_empty
        a_trail_has_the_last_64_steps
        a_trail_of_long_statuses_is_cut
    }
    feed {
        the_feed_is_dense_and_in_order
        a_duplicate_has_no_number
        the_feed_has_pages
        following_waits_for_the_next_event
        a_follower_sees_every_event_once
        closing_ends_the_wait_of_followers
        a_journal_without_a_feed_says_so
    }
    prune {
        only_old_final_tasks_are_pruned
        pruned_events_do_not_come_back
        a_follower_goes_on_after_pruned_events
        a_follower_waits_if_all_events_were_pruned
        pages_go_on_while_tasks_are_pruned
        a_journal_that_cannot_be_pruned_says_so
    }
    details {
        details_are_returned_with_their_task
        details_without_devices_keep_the_devices
        older_details_change_nothing
        details_change_no_event_and_no_state
        details_end_with_their_task
        a_claim_is_kept_by_its_holder
        a_journal_without_details_says_so
    }
    summary {
        tasks_are_counted_by_status
        a_duplicate_is_an_arrival
        a_change_from_a_query_is_no_arrival
        open_tasks_without_news_are_stale
        many_statuses_are_counted_together
    }
    activity {
        arrivals_are_counted_by_span
        only_new_notifications_are_counted
        a_journal_without_activity_says_so
    }
    copies {
        a_copy_is_the_same_journal
        an_interrupted_copy_goes_on
        a_copy_needs_an_empty_journal_or_its_own_beginning
        a_changed_source_is_noticed
    }
    outbox {
        a_new_sink_begins_at_its_position
        the_progress_of_a_sink_is_kept
        a_former_owner_of_a_sink_is_refused
        the_outbox_of_a_closed_journal_is_unavailable
    }
    life {
        only_the_invalid_entry_is_refused
        content_survives_a_restart
        names_of_measures_are_unique
        the_quarantine_is_measured
        a_closed_journal_is_unavailable
    }
}
