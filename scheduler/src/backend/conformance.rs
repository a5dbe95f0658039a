//! The suite that defines a backend: one check for each promise of the [contract](super).
//!
//! A check takes an empty store and panics with the promise that is broken. [`conformance_tests!`](crate::conformance_tests)
//! makes a test of each:
//!
//! ```
//! use symphra_scheduler::{MemoryBackend, conformance_tests};
//!
//! async fn empty_store() -> MemoryBackend {
//!     MemoryBackend::new()
//! }
//!
//! conformance_tests!(empty_store);
//!
//! #[tokio::test]
//! async fn its_capabilities_are_pinned() {
//!     use symphra_scheduler::backend::{Backend, Capabilities};
//!     assert_eq!(empty_store().await.capabilities(), Capabilities::volatile().with_jobs());
//! }
//! ```
//!
//! What a backend says it cannot do is not checked, so a test of one's own pins what it says, as the last one here.

mod behind;
mod cancelling;
mod claiming;
mod contact;
mod declaring;
mod firing;
mod following;
mod holding;
mod jobs;
mod keeping;
mod leaving;
mod letters;
mod logs;
mod looking;
mod noting;
mod overlapping;
mod paging;
mod pausing;
mod retrying;
mod submitting;
mod ticking;
mod unregistering;
mod words;

use super::{Claim, Command, Holder};
use ticking::Ticking;
use words::{
    HOUR, LONG, PATIENCE, SHORT, Subject, after, beat, cancel, changes, claim, claim_until_some, control, declared,
    disk_full, dying, end, enqueue, every, finish, give_back, id, ids, mortal, node, now, once, pass, pause, register,
    retry, row, runs, submit, succeed, tick, trigger, version,
};

pub use behind::{
    a_mark_that_is_put_back_keeps_what_is_to_be_recorded_before_it,
    a_schedule_that_begins_behind_the_mark_is_accounted_for_from_there, what_is_shown_again_is_recorded_once,
};
pub use cancelling::{
    a_retrying_run_is_cancelled_at_once, a_run_can_be_cancelled_in_a_pause, a_running_run_is_asked_to_cancel,
    a_waiting_run_is_cancelled_at_once, what_is_not_alive_is_not_cancelled,
};
pub use claiming::{
    a_claim_gets_no_more_than_it_asks_for, a_claim_takes_as_many_of_a_task_as_come_first,
    a_claim_takes_what_waits_of_many_tasks, a_claim_that_was_given_up_gets_nothing,
    a_claim_whose_answer_was_lost_is_recognised, a_declaration_moves_a_task_between_groups,
    a_group_keeps_its_limit_whoever_fires_at_once, a_long_batch_is_answered_in_its_order,
    a_pause_does_not_hide_what_was_asked_for, a_retrying_run_holds_no_place_in_its_group,
    a_run_of_a_dead_node_has_its_place_in_the_order, a_run_whose_group_is_full_waits,
    a_waiting_run_is_claimed_by_one_node, claims_go_by_priority_and_then_by_instant,
    only_runs_of_known_tasks_are_claimed_the_oldest_first, other_rules_hold_from_the_registration_on,
};
pub use contact::{
    a_node_takes_over_only_after_a_lease_of_contact, a_silence_begins_the_contact_anew, an_outage_hands_nothing_over,
    what_a_node_holds_no_more_is_told,
};
pub use declaring::{
    a_dead_node_does_not_keep_a_task_from_running_at_start, a_known_task_declared_as_a_past_instant_keeps_its_mark,
    a_mark_that_lies_ahead_can_be_put_back, a_reschedule_lasts_until_the_task_is_declared_otherwise,
    a_run_at_start_is_asked_of_the_first_live_node, a_task_declared_otherwise_counts_from_the_change,
    an_equal_declaration_is_the_same, an_occurrence_of_a_replaced_schedule_does_not_fire,
    each_of_several_schedules_owes_its_own, what_a_rescheduled_task_still_owed_is_recorded,
    what_a_task_declared_otherwise_still_owed_is_recorded, what_is_over_or_counts_from_an_end_owes_nothing,
    what_was_owed_is_recorded_once,
};
pub use firing::{
    a_call_whose_answer_was_lost_is_recognised, a_fired_run_is_held_in_its_first_attempt,
    a_new_task_has_missed_nothing_and_a_known_one_keeps_its_mark, a_repeated_firing_does_not_give_what_a_claim_has_got,
    a_run_that_has_ended_is_not_fired_again, after_its_last_run_a_task_has_no_occurrences,
    answers_come_in_the_order_of_the_batch, nothing_is_accepted_before_the_stores_clock_says_so,
    one_of_many_callers_fires_an_occurrence, what_comes_too_late_is_left_for_the_misfire_policy,
    who_was_outrun_is_answered_as_ever,
};
pub use following::{
    a_look_tells_what_a_fixed_delay_counts_from, a_run_given_back_is_told, a_run_that_ends_with_its_node_is_told_once,
    changes_are_told_to_who_waits, every_kind_of_change_is_told, how_the_last_run_ended_is_told,
    the_end_of_a_run_by_the_death_of_its_node_is_told, the_last_end_is_the_one_stored_last,
    the_previous_success_is_told, who_is_far_behind_is_told_all,
};
pub use holding::{
    a_cancelled_run_does_not_go_on, a_claimed_run_can_be_given_back, a_heartbeat_keeps_the_runs,
    a_next_attempt_given_back_unbegun_keeps_its_room, a_node_does_not_take_over_its_own_runs,
    a_run_given_back_begun_has_an_abandoned_attempt, a_run_given_back_unbegun_keeps_its_attempt,
    a_run_of_a_dead_node_is_taken_over_once, a_run_of_a_dead_node_that_may_run_once_ends_as_abandoned,
    a_run_whose_node_died_three_times_ends_as_failed, a_stale_token_finishes_nothing,
    an_unbegun_run_that_may_run_once_can_be_given_back, giving_back_is_not_dying,
    the_run_of_a_dead_node_waits_for_the_end_of_a_pause, who_lost_its_lease_may_end_a_run_that_nobody_took,
};
pub use jobs::{
    a_begun_job_that_cannot_be_read_gives_its_room_back, a_job_begins_not_before_its_instant,
    a_job_is_claimed_with_its_arguments, a_job_whose_answer_was_lost_is_recognised,
    a_key_is_held_for_as_long_as_was_asked, a_lost_claim_of_a_job_is_recognised, a_pause_holds_back_jobs,
    a_unique_job_is_there_once, a_waiting_job_is_cancelled_at_once, as_many_jobs_run_at_once_as_may,
    jobs_are_listed_among_the_runs, jobs_go_by_priority_and_then_by_instant, jobs_of_a_batch_have_their_answers,
    jobs_share_the_room_of_their_group, jobs_that_wait_are_bounded, of_many_callers_with_one_key_one_makes_the_job,
    room_for_what_its_giver_cannot_read_is_told, who_cannot_read_a_job_leaves_it,
};
pub use keeping::{
    a_run_is_listed_with_the_node_that_has_it, any_text_is_kept, ended_runs_are_kept_newest_first_and_bounded,
    of_a_task_as_much_is_kept_as_it_says, records_are_bounded_and_lose_no_count,
    records_are_spans_in_the_order_of_time, runs_are_listed_by_what_is_asked, the_ledger_counts_every_occurrence_once,
};
pub use leaving::{
    what_waits_ends_with_the_last_node_unless_it_is_kept, what_waits_stays_while_a_node_is_there,
    who_leaves_frees_its_runs_at_once,
};
pub use letters::{
    a_dropped_letter_leaves_its_key_for_its_time, a_job_that_fails_is_a_dead_letter, a_job_whose_node_dies_is_not_lost,
    a_letter_is_dropped, a_letter_is_run_again_once, a_letter_that_holds_its_key_is_run_again,
    a_letter_whose_key_is_taken_stays, letters_are_listed_by_what_is_asked,
};
pub use logs::{
    a_log_goes_with_its_run, the_log_of_the_last_attempt_is_kept, what_writes_nothing_leaves_the_log_as_it_is,
};
pub use looking::{
    the_last_run_to_end_of_each_task_is_told, the_nodes_of_a_store_are_told, the_tasks_of_a_store_are_told_by_name,
};
pub use noting::what_was_asked_for_is_kept_the_last_of_it;
pub use overlapping::{
    a_firing_that_waits_is_recognised, a_full_task_is_recorded_with_the_run_that_fills_it,
    a_run_is_alive_from_its_acceptance_to_its_end, a_run_that_has_ended_makes_room, buffer_all_is_bounded,
    buffer_all_lets_each_wait_its_turn, buffer_one_is_for_occurrences_only,
    buffer_one_lets_one_wait_that_covers_the_next, cancel_running_ends_a_retrying_run_at_once,
    cancel_running_leaves_a_trigger_its_turn, cancel_running_lets_only_the_newest_wait,
    cancel_running_replaces_what_waits_for_its_group, cancel_running_waits_for_the_end_of_the_oldest,
    what_a_covered_occurrence_stood_for_is_covered_with_it, without_a_limit_every_occurrence_runs,
};
pub use paging::{
    a_place_whose_run_is_pruned_is_one_still, pages_of_runs_meet_no_run_twice_and_leave_none_out,
    runs_have_one_order_in_which_pages_follow,
};
pub use pausing::{
    a_declaration_pauses_and_an_operator_resumes, a_pause_holds_back_what_waits,
    a_pause_of_all_is_apart_from_that_of_one, a_pause_survives_a_registration, a_retry_is_no_failed_run,
    a_run_given_back_in_a_pause_waits, a_trigger_and_a_backfill_run_in_a_pause, deaths_in_a_row_pause_a_task,
    failures_in_a_row_pause_a_task, pauses_of_all_do_not_wait_for_each_other, the_end_of_a_pause_is_told,
    what_falls_due_in_a_pause_is_recorded,
};
pub use retrying::{
    a_lost_claim_of_a_next_attempt_is_recognised, a_next_attempt_on_another_node_is_told,
    a_repeated_end_does_not_touch_the_next_attempt, a_run_that_is_tried_again_is_alive_until_then,
    the_instant_of_the_next_attempt_is_told_to_who_knows_the_task, the_next_attempt_begins_at_its_instant,
};
pub use submitting::{
    a_run_at_start_heeds_pause_and_overlap, a_run_beside_others_ignores_the_limit,
    a_submission_may_have_its_own_policy, a_submission_whose_answer_was_lost_is_recognised,
    a_trigger_leaves_the_schedule_alone, a_trigger_of_a_full_task_waits_its_turn,
    submissions_of_one_batch_see_each_other, the_runs_of_a_backfill_go_one_after_another,
    triggers_that_wait_are_bounded, two_starts_at_one_instant_are_one_run,
};
pub use unregistering::{
    a_task_that_all_have_given_up_starts_anew, a_task_that_was_given_up_goes_on_where_it_stood,
    what_is_registered_again_is_not_given_up,
};

/// Makes a test of each promise, on the empty stores that an async function gives. With `only_if = function` the tests pass
/// unseen where that says false: for a store that needs a service which may not be there.
///
/// ```
/// use symphra_scheduler::{MemoryBackend, conformance_tests};
///
/// async fn empty_store() -> MemoryBackend {
///     MemoryBackend::new()
/// }
///
/// fn is_there() -> bool {
///     std::env::var_os("STORE_URL").is_some()
/// }
///
/// conformance_tests!(empty_store, only_if = is_there);
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($empty_store:path) => {
        $crate::conformance_tests! { $empty_store, only_if = $crate::backend::conformance::always }
    };
    ($empty_store:path, only_if = $is_here:path) => {
        $crate::conformance_tests! { @each $empty_store, $is_here:
            one_of_many_callers_fires_an_occurrence
            a_fired_run_is_held_in_its_first_attempt
            a_call_whose_answer_was_lost_is_recognised
            a_repeated_firing_does_not_give_what_a_claim_has_got
            who_was_outrun_is_answered_as_ever
            a_run_that_has_ended_is_not_fired_again
            nothing_is_accepted_before_the_stores_clock_says_so
            what_comes_too_late_is_left_for_the_misfire_policy
            answers_come_in_the_order_of_the_batch
            after_its_last_run_a_task_has_no_occurrences
            a_new_task_has_missed_nothing_and_a_known_one_keeps_its_mark
            a_task_declared_otherwise_counts_from_the_change
            a_reschedule_lasts_until_the_task_is_declared_otherwise
            an_occurrence_of_a_replaced_schedule_does_not_fire
            a_mark_that_lies_ahead_can_be_put_back
            what_is_shown_again_is_recorded_once
            a_schedule_that_begins_behind_the_mark_is_accounted_for_from_there
            a_mark_that_is_put_back_keeps_what_is_to_be_recorded_before_it
            a_known_task_declared_as_a_past_instant_keeps_its_mark
            a_run_at_start_is_asked_of_the_first_live_node
            a_dead_node_does_not_keep_a_task_from_running_at_start
            an_equal_declaration_is_the_same
            a_task_that_all_have_given_up_starts_anew
            what_is_registered_again_is_not_given_up
            a_task_that_was_given_up_goes_on_where_it_stood
            each_of_several_schedules_owes_its_own
            what_a_rescheduled_task_still_owed_is_recorded
            what_a_task_declared_otherwise_still_owed_is_recorded
            what_is_over_or_counts_from_an_end_owes_nothing
            what_was_owed_is_recorded_once
            a_stale_token_finishes_nothing
            a_run_of_a_dead_node_is_taken_over_once
            who_lost_its_lease_may_end_a_run_that_nobody_took
            a_heartbeat_keeps_the_runs
            a_node_does_not_take_over_its_own_runs
            a_node_takes_over_only_after_a_lease_of_contact
            a_silence_begins_the_contact_anew
            an_outage_hands_nothing_over
            what_a_node_holds_no_more_is_told
            a_run_of_a_dead_node_that_may_run_once_ends_as_abandoned
            a_run_whose_node_died_three_times_ends_as_failed
            a_run_given_back_unbegun_keeps_its_attempt
            a_run_given_back_begun_has_an_abandoned_attempt
            giving_back_is_not_dying
            the_run_of_a_dead_node_waits_for_the_end_of_a_pause
            a_cancelled_run_does_not_go_on
            a_claimed_run_can_be_given_back
            a_next_attempt_given_back_unbegun_keeps_its_room
            an_unbegun_run_that_may_run_once_can_be_given_back
            a_claim_whose_answer_was_lost_is_recognised
            a_claim_that_was_given_up_gets_nothing
            only_runs_of_known_tasks_are_claimed_the_oldest_first
            a_claim_gets_no_more_than_it_asks_for
            claims_go_by_priority_and_then_by_instant
            a_claim_takes_as_many_of_a_task_as_come_first
            a_claim_takes_what_waits_of_many_tasks
            a_pause_does_not_hide_what_was_asked_for
            a_run_of_a_dead_node_has_its_place_in_the_order
            a_run_whose_group_is_full_waits
            a_group_keeps_its_limit_whoever_fires_at_once
            a_long_batch_is_answered_in_its_order
            a_retrying_run_holds_no_place_in_its_group
            a_declaration_moves_a_task_between_groups
            a_waiting_run_is_claimed_by_one_node
            other_rules_hold_from_the_registration_on
            a_full_task_is_recorded_with_the_run_that_fills_it
            a_run_is_alive_from_its_acceptance_to_its_end
            a_run_that_has_ended_makes_room
            without_a_limit_every_occurrence_runs
            buffer_one_lets_one_wait_that_covers_the_next
            buffer_one_is_for_occurrences_only
            buffer_all_lets_each_wait_its_turn
            buffer_all_is_bounded
            cancel_running_waits_for_the_end_of_the_oldest
            cancel_running_lets_only_the_newest_wait
            cancel_running_ends_a_retrying_run_at_once
            cancel_running_replaces_what_waits_for_its_group
            cancel_running_leaves_a_trigger_its_turn
            a_firing_that_waits_is_recognised
            what_a_covered_occurrence_stood_for_is_covered_with_it
            what_falls_due_in_a_pause_is_recorded
            the_end_of_a_pause_is_told
            a_pause_of_all_is_apart_from_that_of_one
            a_declaration_pauses_and_an_operator_resumes
            a_pause_survives_a_registration
            a_pause_holds_back_what_waits
            a_run_given_back_in_a_pause_waits
            a_trigger_and_a_backfill_run_in_a_pause
            failures_in_a_row_pause_a_task
            deaths_in_a_row_pause_a_task
            pauses_of_all_do_not_wait_for_each_other
            a_retry_is_no_failed_run
            a_run_that_is_tried_again_is_alive_until_then
            the_next_attempt_begins_at_its_instant
            the_instant_of_the_next_attempt_is_told_to_who_knows_the_task
            a_lost_claim_of_a_next_attempt_is_recognised
            a_repeated_end_does_not_touch_the_next_attempt
            a_next_attempt_on_another_node_is_told
            a_trigger_leaves_the_schedule_alone
            a_trigger_of_a_full_task_waits_its_turn
            a_submission_whose_answer_was_lost_is_recognised
            a_submission_may_have_its_own_policy
            a_run_beside_others_ignores_the_limit
            the_runs_of_a_backfill_go_one_after_another
            a_run_at_start_heeds_pause_and_overlap
            two_starts_at_one_instant_are_one_run
            triggers_that_wait_are_bounded
            a_waiting_run_is_cancelled_at_once
            a_retrying_run_is_cancelled_at_once
            a_running_run_is_asked_to_cancel
            what_is_not_alive_is_not_cancelled
            a_run_can_be_cancelled_in_a_pause
            changes_are_told_to_who_waits
            every_kind_of_change_is_told
            a_run_given_back_is_told
            who_is_far_behind_is_told_all
            the_last_end_is_the_one_stored_last
            the_previous_success_is_told
            how_the_last_run_ended_is_told
            a_look_tells_what_a_fixed_delay_counts_from
            the_end_of_a_run_by_the_death_of_its_node_is_told
            a_run_that_ends_with_its_node_is_told_once
            who_leaves_frees_its_runs_at_once
            what_waits_stays_while_a_node_is_there
            what_waits_ends_with_the_last_node_unless_it_is_kept
            a_run_is_listed_with_the_node_that_has_it
            ended_runs_are_kept_newest_first_and_bounded
            of_a_task_as_much_is_kept_as_it_says
            runs_are_listed_by_what_is_asked
            runs_have_one_order_in_which_pages_follow
            pages_of_runs_meet_no_run_twice_and_leave_none_out
            a_place_whose_run_is_pruned_is_one_still
            any_text_is_kept
            the_log_of_the_last_attempt_is_kept
            what_writes_nothing_leaves_the_log_as_it_is
            a_log_goes_with_its_run
            what_was_asked_for_is_kept_the_last_of_it
            submissions_of_one_batch_see_each_other
            records_are_spans_in_the_order_of_time
            records_are_bounded_and_lose_no_count
            the_ledger_counts_every_occurrence_once
            the_tasks_of_a_store_are_told_by_name
            the_nodes_of_a_store_are_told
            the_last_run_to_end_of_each_task_is_told
            a_job_is_claimed_with_its_arguments
            jobs_of_a_batch_have_their_answers
            a_job_whose_answer_was_lost_is_recognised
            a_lost_claim_of_a_job_is_recognised
            a_job_begins_not_before_its_instant
            jobs_go_by_priority_and_then_by_instant
            as_many_jobs_run_at_once_as_may
            a_pause_holds_back_jobs
            jobs_share_the_room_of_their_group
            a_unique_job_is_there_once
            a_key_is_held_for_as_long_as_was_asked
            of_many_callers_with_one_key_one_makes_the_job
            who_cannot_read_a_job_leaves_it
            a_begun_job_that_cannot_be_read_gives_its_room_back
            room_for_what_its_giver_cannot_read_is_told
            a_waiting_job_is_cancelled_at_once
            jobs_are_listed_among_the_runs
            jobs_that_wait_are_bounded
            a_job_that_fails_is_a_dead_letter
            a_job_whose_node_dies_is_not_lost
            letters_are_listed_by_what_is_asked
            a_letter_is_run_again_once
            a_letter_whose_key_is_taken_stays
            a_letter_that_holds_its_key_is_run_again
            a_letter_is_dropped
            a_dropped_letter_leaves_its_key_for_its_time
        }
    };
    (@each $empty_store:path, $is_here:path: $($promise:ident)+) => {
        $(
            #[::tokio::test]
            async fn $promise() {
                if !$is_here() {
                    return;
                }
                let backend = ::std::sync::Arc::new($empty_store().await);
                $crate::backend::conformance::$promise(backend).await;
            }
        )+
    };
}

/// What a store says that is always there.
#[doc(hidden)]
#[must_use]
pub const fn always() -> bool {
    true
}

/// The suite on a store that outlives its program, as far as memory can be one.
#[cfg(test)]
mod durable {
    async fn empty_store() -> crate::MemoryBackend {
        crate::MemoryBackend::new().outliving_its_program()
    }

    crate::conformance_tests!(empty_store);
}
