//! The page of nodes, and of how the scheduler is.

use maud::{Markup, html};

use super::Frame;
use super::parts::{badge, instant, maybe_instant, short, task_link};
use super::shell::{Section, page};
use super::text::encoded;
use crate::control::view::{HealthView, NodeView, RunningView};

/// The nodes of the store, and the health of the one that answers.
pub(in crate::dashboard) fn nodes(frame: &Frame<'_>, nodes: &[NodeView], health: &HealthView) -> Markup {
    let words = frame.language.words();
    let content = html! {
        h1 { (words.nodes) }
        section #health data-live aria-label=(words.health) { h2 { (words.health) } (state(frame, health)) }
        section #nodes data-live aria-label=(words.nodes) {
            h2 { (words.nodes) }
            @if nodes.is_empty() { p.empty { (words.no_nodes) } } @else { (table(frame, nodes)) }
        }
    };
    page(frame, Section::Nodes, words.nodes, content)
}

fn state(frame: &Frame<'_>, health: &HealthView) -> Markup {
    let words = frame.language.words();
    let store = health.store.as_ref();
    html! {
        @if health.well {
            p.notice.good { span aria-hidden="true" { "✓ " } (words.well) }
        } @else {
            div.notice.bad {
                p { span aria-hidden="true" { "✕ " } (words.not_well) }
                ul {
                    @if !health.alive { li { (if store.is_some() { words.not_alive } else { words.no_program }) } }
                    @if !health.ready {
                        li {
                            (words.not_ready)
                            @if let Some(since) = store.and_then(|store| store.unreachable_since.as_ref()) {
                                ", " (words.since) " " (instant(frame, since))
                            }
                            @if let Some(error) = store.and_then(|store| store.error.as_ref()) { ": " (short(error)) }
                        }
                    }
                    @if store.is_some_and(|store| store.lease_lost) { li { (words.lease_lost) } }
                    @if let Some(clock) = health.clock.as_ref().filter(|clock| clock.is_off) {
                        li { (words.clock_off) ": " (clock.offset_ms) }
                    }
                    @if let Some(until) = &health.clock_repeats_until {
                        li { (words.clock_repeats) " " (instant(frame, until)) }
                    }
                }
            }
        }
        (running(frame, words.stuck, &health.stuck))
        (running(frame, words.workers_taken, &health.workers_taken_by))
        @if !health.stale.is_empty() {
            h3 { (words.stale) }
            ul {
                @for stale in &health.stale {
                    li {
                        (task_link(frame, &stale.task)) ": " (words.expected_by) " " (instant(frame, &stale.expected_by))
                        ", " (words.last_success) " "
                        @match &stale.last_success { Some(at) => (instant(frame, at)), None => (words.never) }
                    }
                }
            }
        }
    }
}

fn running(frame: &Frame<'_>, title: &str, runs: &[RunningView]) -> Markup {
    let words = frame.language.words();
    html! {
        @if !runs.is_empty() {
            h3 { (title) }
            ul {
                @for run in runs {
                    li {
                        (task_link(frame, &run.task)) ": "
                        a href={ (frame.base) "/run?id=" (encoded(&run.id)) } { (run.running_seconds) " " (words.for_seconds) }
                    }
                }
            }
        }
    }
}

fn table(frame: &Frame<'_>, nodes: &[NodeView]) -> Markup {
    let words = frame.language.words();
    let of = |part: Option<usize>, whole: Option<usize>| match (part, whole) {
        (Some(part), Some(whole)) => format!("{part} / {whole}"),
        _ => "–".to_owned(),
    };
    html! {
        table.cards {
            thead { tr {
                th scope="col" { (words.node) }
                th scope="col" { (words.presence) }
                th scope="col" { (words.seen) }
                th scope="col" { (words.held) }
                th scope="col" { (words.workers) }
                th scope="col" { (words.queue) }
                th scope="col" { (words.uptime) }
                th scope="col" { (words.version) }
            } }
            tbody {
                @for node in nodes {
                    tr {
                        th scope="row" {
                            (short(&node.node))
                            div.hint { (words.backend) " " (short(&node.backend)) @if let Some(pid) = node.pid { ", pid " (pid) } }
                        }
                        td data-label=(words.presence) { div { (badge(frame, &node.presence)) } }
                        td data-label=(words.seen) { div { (maybe_instant(frame, node.seen_at.as_ref())) } }
                        td data-label=(words.held) { div { (node.held_runs) } }
                        td data-label=(words.workers) { div { (of(node.active_workers, node.max_workers)) } }
                        td data-label=(words.queue) { div { (of(node.queued_runs, node.queue_size)) } }
                        td data-label=(words.uptime) {
                            div {
                                @match node.uptime_seconds.and_then(|seconds| i64::try_from(seconds).ok()) {
                                    Some(seconds) => (frame.language.length(seconds.saturating_mul(1_000))),
                                    None => "–",
                                }
                            }
                        }
                        td data-label=(words.version) {
                            div {
                                (short(node.version.as_deref().unwrap_or("–")))
                                @if let Some(tzdb) = &node.tzdb { div.hint { "tzdb " (short(tzdb)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
