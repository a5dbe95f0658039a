//! Clusters of real processes on real stores: what is killed, frozen, cut off or started anew, and what is then missing,
//! extra or incomplete, by what the bodies themselves have written.
#![cfg(unix)]

use symphra_scheduler_tests::services::{has_postgres, has_rabbitmq, has_redis};

#[path = "cluster/checker.rs"]
mod checker;
#[cfg(target_os = "linux")]
#[path = "cluster/clock.rs"]
mod clock;
#[path = "cluster/crashes.rs"]
mod crashes;
#[path = "cluster/file.rs"]
mod file;
#[path = "cluster/jobs.rs"]
mod jobs;
#[path = "cluster/leftovers.rs"]
mod leftovers;
#[path = "cluster/nodes.rs"]
mod nodes;
#[path = "cluster/outages.rs"]
mod outages;
#[path = "cluster/owner.rs"]
mod owner;
#[path = "cluster/proxy.rs"]
mod proxy;
#[path = "cluster/redis_servers.rs"]
mod redis_servers;
#[path = "cluster/restarts.rs"]
mod restarts;
#[path = "cluster/rig.rs"]
mod rig;
#[cfg(target_os = "linux")]
#[path = "cluster/soak.rs"]
mod soak;
#[cfg(target_os = "linux")]
#[path = "cluster/storm.rs"]
mod storm;
#[path = "cluster/tls.rs"]
mod tls;

/// Each of these on a new store of each kind.
macro_rules! on_each_store {
    ($($file:ident::$test:ident,)+) => {
        on_stores_in_sql! { $($file::$test,)+ leftovers::what_a_node_that_was_killed_has_left_comes_to_its_end, }

        mod rabbitmq {
            $(#[test]
            fn $test() {
                if super::has_rabbitmq() {
                    super::$file::$test(super::rig::Store::rabbitmq);
                }
            })+
        }

        mod redis {
            $(#[test]
            fn $test() {
                if super::has_redis() {
                    super::$file::$test(super::rig::Store::redis);
                }
            })+
        }
    };
}

/// Each of these on a new store of each kind whose rows can be written by hand.
macro_rules! on_stores_in_sql {
    ($($file:ident::$test:ident,)+) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$file::$test(super::rig::Store::sqlite);
            })+
        }

        mod postgres {
            $(#[test]
            fn $test() {
                if super::has_postgres() {
                    super::$file::$test(super::rig::Store::postgres);
                }
            })+
        }
    };
}

on_each_store! {
    crashes::a_node_killed_at_any_step_of_a_run_loses_nothing,
    crashes::nodes_killed_at_random_lose_nothing,
    jobs::a_job_survives_the_death_of_a_node_at_any_step,
    jobs::jobs_of_nodes_that_are_killed_come_to_their_end,
    nodes::three_nodes_of_which_one_is_killed_and_another_joins_miss_nothing,
    nodes::a_frozen_node_begins_and_finishes_nothing_when_it_wakes,
    nodes::a_clean_stop_hands_back_at_once,
    nodes::the_last_to_start_rules_the_schedule,
    nodes::a_run_waits_for_a_node_that_knows_its_task,
    restarts::a_restart_keeps_what_was_asked_and_where_each_task_stands,
}
