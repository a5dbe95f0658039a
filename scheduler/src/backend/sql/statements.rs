//! The statements of a store. Each has one parameter, a JSON object, and gives one JSON value or none; so a batch is one
//! statement, whatever its length, and nothing of a program is ever part of a statement's text.

mod claims;
mod lists;

use super::dialect::{Dialect, Names, assignments, given, given_rows, names, object, row};
use super::jobs::{JobStatements, WAITS};
use super::rows::{
    CHANGE, CLOSED, ENDED, ENDING, FIRED, MARK_WAS, NEW_RUN, NEW_TASK, NOT_NEW, PROGRESS, RETENTION, RUN, TASK, Type,
    only, which,
};
use crate::backend::ACTIONS_MAX;
use claims::{candidates, claimable, retrying};
use lists::{each_way, last_ended, list_alive, list_ended};

pub(super) use lists::Runs;

/// All statements of a store.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(super) lock: String,
    pub(super) lock_free: String,
    /// Locks tasks, and reads of them what the end of a run is about.
    pub(super) lock_ending: String,
    /// Locks no task, and what holds for all of them.
    pub(super) lock_all: String,
    pub(super) lock_named: String,
    pub(super) insert_tasks: String,
    pub(super) declare: String,
    pub(super) retain: String,
    pub(super) view: String,
    pub(super) all_ids: String,
    pub(super) names: String,
    pub(super) nodes: String,
    pub(super) save_tasks: String,
    /// Save what changes as runs come and go, and no more.
    pub(super) save_progress: [Saving<String>; 2],
    pub(super) records: String,
    pub(super) save_records: String,
    pub(super) crowd: String,
    pub(super) runs: String,
    pub(super) runs_scheduled: String,
    pub(super) runs_claimed: String,
    pub(super) runs_of_keys: String,
    /// Firings that come too late: the mark has been moved, and not by themselves.
    pub(super) too_late: String,
    pub(super) known_runs: String,
    pub(super) due_attempts: String,
    pub(super) claimable: String,
    pub(super) claimable_known: String,
    pub(super) candidates: String,
    pub(super) retrying: String,
    pub(super) retrying_known: String,
    /// Compare and advance marks, and insert the runs: one statement where the database can say that in one, else two
    /// of one step.
    pub(super) fire: [Saving<Vec<String>>; 2],
    pub(super) insert_runs: String,
    pub(super) save_runs: String,
    pub(super) end_runs: Vec<String>,
    pub(super) prune: String,
    pub(super) save_logs: String,
    /// Gives up the logs of runs that are kept no more.
    pub(super) prune_logs: String,
    pub(super) log: String,
    pub(super) note: String,
    /// Gives up what was asked for before the last that are kept.
    pub(super) prune_actions: String,
    pub(super) actions: String,
    /// Locks groups, before they are read: what a statement counts was there before it waited.
    pub(super) lock_groups: String,
    pub(super) groups: String,
    pub(super) save_groups: String,
    pub(super) node: String,
    pub(super) save_claim: String,
    pub(super) beat: String,
    pub(super) greet: String,
    pub(super) leave: String,
    pub(super) prune_nodes: String,
    pub(super) forget: String,
    pub(super) know: String,
    pub(super) unknow: String,
    pub(super) known: String,
    pub(super) pause_all: String,
    pub(super) count_changes: String,
    pub(super) insert_changes: String,
    pub(super) prune_changes: String,
    pub(super) changes: String,
    pub(super) version: String,
    pub(super) asked: String,
    /// By [`Runs`].
    pub(super) list_alive: [String; 3],
    pub(super) list_ended: [String; 3],
    pub(super) last_ended: String,
    pub(super) last_end: String,
    pub(super) ledger: String,
    pub(super) task_of_run: String,
    pub(super) unclaimed: String,
    pub(super) jobs: JobStatements,
}

/// Statements that write some columns of tasks. Where there are two of the kind, the first writes fewer: most of what a
/// database does with such a row is to read its columns.
#[derive(Debug)]
pub(super) struct Saving<S> {
    /// Which columns, by [`which`].
    pub(super) which: Vec<bool>,
    pub(super) say: S,
}

impl<S> Saving<S> {
    fn of(columns: &[&str], say: impl Fn(&[(&'static str, Type)]) -> S) -> Self {
        Self { which: which(TASK, columns), say: say(&only(TASK, columns)) }
    }
}

/// What every answer about tasks begins with: the store's present, and what holds for all tasks.
const SEEN: &str = "'now', {now}, 'paused', (SELECT paused FROM {pauses} {share}), 'resumed_at', (SELECT resumed_at FROM \
                    {pauses}), 'version', (SELECT version FROM {meta})";

/// Whether neither the task `t` nor all tasks are paused.
pub(super) const NOT_PAUSED: &str = "(t.paused IS NULL AND (t.disabled = 0 OR t.resumed = 1) AND NOT EXISTS (SELECT 1 FROM {pauses} \
                          WHERE paused IS NOT NULL))";

/// In which lane the run `r` waits: what keeps the first of a lane from beginning keeps the others of it too, but for
/// backfills, each of which is a lane of its own. Indexed by these very words.
const LANE: &str = "CASE WHEN r.beside = 1 THEN 2 WHEN r.origin = 'trigger' THEN 1 WHEN r.origin = 'backfill' THEN 3 ELSE 0 \
                    END";

/// Whether the run `r` waits as one of its task's own occurrences, or at a start.
const SCHEDULED: &str = "r.began IS NULL AND ({lane}) = 0";

/// Whether the run `r` waits and a trigger is buffered behind it.
const ASKED: &str = "r.began IS NULL AND ({lane}) IN (0, 1, 2)";

/// The order in which runs of one task begin.
const OLDEST: &str = "r.due_at, r.scheduled_at, r.made";

const NEWEST: &str = "r.due_at DESC, r.scheduled_at DESC, r.made DESC";

/// What failed is kept longer in the history.
const IS_FAILURE: &str = "state IN ('failed', 'timed_out', 'abandoned')";

impl Statements {
    /// The statements on the tables of one store.
    pub(crate) fn new(dialect: Dialect, tables: &Names) -> Self {
        let say = |text: &str| dialect.say(&text.replace("{lane}", LANE), tables);
        let save = |columns: &[(&'static str, Type)]| {
            say(&format!(
                "UPDATE {{tasks}} AS t SET {} FROM {} AS x WHERE t.id = x.id",
                assignments(columns),
                given_rows("tasks", columns)
            ))
        };
        let advance = |columns: &[(&'static str, Type)]| {
            let fired: Vec<(&str, Type)> = columns.iter().copied().chain([MARK_WAS]).collect();
            format!(
                "UPDATE {{tasks}} AS t SET {} FROM {} AS x WHERE t.id = x.id AND t.mark = x.mark_was",
                assignments(columns),
                given_rows("tasks", &fired)
            )
        };
        let born = only(RUN, NEW_RUN);
        let (not_new, nothing): (Vec<&str>, Vec<&str>) = NOT_NEW.iter().copied().unzip();
        let insert_runs = format!(
            "INSERT INTO {{runs}} ({}, {}) SELECT {}, {} FROM {} AS x",
            names(&born),
            not_new.join(", "),
            born.iter().map(|(column, _)| format!("x.{column}")).collect::<Vec<_>>().join(", "),
            nothing.join(", "),
            given_rows("runs", &born)
        );
        let delete_runs = format!("DELETE FROM {{runs}} WHERE {}", run_ids("id"));
        let insert_ended = format!(
            "INSERT INTO {{history}} ({columns}) SELECT {columns} FROM {} AS x",
            given_rows("ended", ENDED),
            columns = names(ENDED)
        );
        let fire = |columns: &[(&'static str, Type)]| match dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite | Dialect::OlderSqlite => vec![say(&advance(columns)), say(&insert_runs)],
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let both = format!(
                    "WITH moved AS ({} RETURNING t.id) {insert_runs} JOIN moved ON moved.id = x.task WHERE x.due_at <= {{now}}",
                    advance(columns)
                );
                vec![Dialect::read_once(&say(&both))]
            }
        };
        let end_runs = match dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite | Dialect::OlderSqlite => vec![say(&delete_runs), say(&insert_ended)],
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let end_runs = format!("WITH gone AS ({delete_runs} RETURNING 1) {insert_ended}");
                vec![Dialect::read_once(&say(&end_runs))]
            }
        };
        Self {
            lock: say(&locked(dialect, &ids("id"), "{lock}", &row("t", TASK))),
            lock_free: say(&locked(dialect, &ids("id"), "{lock_free}", &row("t", TASK))),
            lock_ending: say(&locked(dialect, &ids("id"), "{lock}", &row("t", ENDING))),
            lock_all: say(&locked(dialect, "FALSE", "", &row("t", TASK)).replace("{share}", "{lock}")),
            lock_named: say(&locked(
                dialect,
                "name IN (SELECT e.value FROM {words:names})",
                "{lock}",
                &object("t", TASK, &[("name", "t.name"), ("declared", "t.declared")]),
            )),
            insert_tasks: say(&format!(
                "INSERT INTO {{tasks}} ({columns}) SELECT {columns} FROM {} AS x WHERE TRUE ORDER BY x.name ON CONFLICT \
                 (name) DO NOTHING",
                given("tasks", NEW_TASK),
                columns = names(NEW_TASK)
            )),
            declare: say(&format!(
                "UPDATE {{tasks}} AS t SET declared = COALESCE(x.declared, t.declared), rescheduled = x.rescheduled FROM {} AS x WHERE t.id = x.id",
                given("texts", &[("id", Type::Int), ("declared", Type::Text), ("rescheduled", Type::Text)])
            )),
            retain: say(&format!(
                "UPDATE {{tasks}} AS t SET {} FROM {} AS x WHERE t.id = x.id AND (t.keep_runs <> x.keep_runs OR t.keep_failures <> \
                 x.keep_failures OR t.keep_failures_ms <> x.keep_failures_ms)",
                assignments(RETENTION),
                given("tasks", RETENTION)
            )),
            view: say(&view(dialect)),
            all_ids: say("SELECT {array}(id) FROM {tasks}"),
            names: say("SELECT {array}({object}('id', id, 'name', name)) FROM {tasks}"),
            nodes: say(
                "SELECT {array}({object}('name', n.name, 'lease_ms', n.lease_ms, 'seen_at', n.seen_at, 'has_left', n.has_left, 'tzdb', n.tzdb, \
                 'lives', CASE WHEN n.lease_until >= {now} THEN 1 ELSE 0 END, 'held', (SELECT COUNT(*) FROM {runs} AS r WHERE \
                 r.holder = n.name))) FROM {nodes} AS n",
            ),
            save_tasks: save(TASK),
            save_progress: [CLOSED, PROGRESS].map(|columns| Saving::of(columns, save)),
            records: say(&format!(
                "SELECT {{array}}({{object}}('id', id, 'records', records)) FROM {{tasks}} WHERE {}",
                ids("id")
            )),
            save_records: say(&format!(
                "UPDATE {{tasks}} AS t SET records = x.records FROM {} AS x WHERE t.id = x.id",
                given("records", &[("id", Type::Int), ("records", Type::Text)])
            )),
            crowd: say(&crowd()),
            runs: say(&runs_of(&run_ids("r.id"))),
            runs_scheduled: say(&runs_of(&format!("{} AND {SCHEDULED}", ids("r.task")))),
            runs_claimed: say(&runs_of("r.holder = {in:node} AND r.claim = CAST({in:claim} AS {int})")),
            runs_of_keys: say(&format!(
                "SELECT {{array}}({}) FROM {{runs}} AS r JOIN {} AS x ON r.task = x.task AND r.scheduled_at = x.scheduled_at \
                 WHERE r.origin = 'schedule' AND r.origin_id IS NULL",
                row("r", RUN),
                given("keys", &[("task", Type::Int), ("scheduled_at", Type::Int)])
            )),
            too_late: say(&format!(
                "SELECT {{array}}({{object}}('id', x.id, 'mark', t.mark)) FROM {} AS x JOIN {{tasks}} AS t ON t.id = x.task WHERE \
                 t.mark <> x.mark AND (t.step_id IS NULL OR t.step_id <> x.id) AND NOT EXISTS (SELECT 1 FROM {{runs}} AS r \
                 WHERE r.id = x.id)",
                given("firings", &[("id", Type::Id), ("task", Type::Int), ("mark", Type::Int)])
            )),
            known_runs: say(&format!(
                "SELECT {{array}}(k.id) FROM (SELECT id FROM {{runs}} WHERE {} UNION ALL SELECT id FROM {{history}} WHERE {}) \
                 AS k",
                run_ids("id"),
                run_ids("id")
            )),
            due_attempts: say(&format!(
                "SELECT {{array}}(f.task) FROM (SELECT DISTINCT task FROM {{runs}} WHERE {} AND state = 'retrying' AND due_at \
                 <= {{now}}) AS f",
                ids("task")
            )),
            claimable: say(&claimable("")),
            claimable_known: say(&claimable("WHERE f.id IN (SELECT CAST(e.value AS {int}) FROM {words:known})")),
            candidates: say(&candidates(dialect)),
            retrying: say(&retrying("")),
            retrying_known: say(&retrying("AND task IN (SELECT CAST(e.value AS {int}) FROM {words:known})")),
            fire: [FIRED, PROGRESS].map(|columns| Saving::of(columns, fire)),
            insert_runs: say(&insert_runs),
            save_runs: say(&format!(
                "UPDATE {{runs}} AS t SET {} FROM {} AS x WHERE t.id = x.id",
                assignments(RUN),
                given_rows("runs", RUN)
            )),
            end_runs,
            prune: say(&prune()),
            save_logs: say(&format!(
                "INSERT INTO {{logs}} (run, task, attempt, log) SELECT run, task, attempt, log FROM {} AS x WHERE TRUE ON CONFLICT \
                 (run) DO UPDATE SET attempt = excluded.attempt, log = excluded.log",
                given("logs", &[("run", Type::Id), ("task", Type::Int), ("attempt", Type::Int), ("log", Type::Text)])
            )),
            prune_logs: say(&format!(
                "DELETE FROM {{logs}} AS l WHERE {} AND NOT EXISTS (SELECT 1 FROM {{history}} AS h WHERE h.id = l.run) AND NOT \
                 EXISTS (SELECT 1 FROM {{runs}} AS r WHERE r.id = l.run)",
                ids("l.task")
            )),
            log: say("SELECT {object}('attempt', attempt, 'log', log) FROM {logs} WHERE run = CAST({in:id} AS {id})"),
            note: say(
                "INSERT INTO {actions} (at, actor, task, change, outcome) VALUES ({now}, {in:actor}, {in:task}, {in:change}, \
                 {in:outcome})",
            ),
            prune_actions: say(&format!(
                "DELETE FROM {{actions}} WHERE seq <= (SELECT seq FROM {{actions}} ORDER BY seq DESC LIMIT 1 OFFSET \
                 {ACTIONS_MAX})"
            )),
            actions: say(
                "SELECT {array}({object}('at', a.at, 'actor', a.actor, 'task', a.task, 'change', a.change, 'outcome', \
                 a.outcome)) FROM (SELECT * FROM {actions} ORDER BY seq DESC LIMIT CAST({in:limit} AS {int})) AS a",
            ),
            lock_groups: say(
                "SELECT 1 FROM {groups} WHERE name IN (SELECT e.value FROM {words:names}) ORDER BY name {lock}",
            ),
            groups: say(&format!(
                "SELECT {{array}}({{object}}('name', g.name, 'max', g.max, 'held', (SELECT COUNT(*) FROM {{runs}} AS r JOIN \
                 {{tasks}} AS t ON t.id = r.task WHERE t.grp = g.name AND r.began IS NOT NULL AND r.holder IS NOT NULL), \
                 'waiting', (SELECT COUNT(*) FROM {{tasks}} AS t WHERE t.grp = g.name AND (t.queued > 0 OR EXISTS (SELECT 1 FROM {{runs}} AS r WHERE r.task = t.id AND \
                 r.began IS NOT NULL AND r.state = 'retrying' AND r.due_at <= {{now}}) OR {WAITS})))) FROM {{groups}} AS g WHERE g.name IN (SELECT \
                 e.value FROM {{words:names}})",
            )),
            save_groups: say(&format!(
                "INSERT INTO {{groups}} (name, max) SELECT name, max FROM {} AS x WHERE TRUE ORDER BY name ON CONFLICT \
                 (name) DO UPDATE SET max = excluded.max",
                given("groups", &[("name", Type::Text), ("max", Type::Int)])
            )),
            node: say("SELECT {object}('last_claim', last_claim) FROM {nodes} WHERE name = {in:node} {lock}"),
            save_claim: say("UPDATE {nodes} SET last_claim = CAST({in:claim} AS {int}) WHERE name = {in:node}"),
            beat: say(
                "INSERT INTO {nodes} AS n (name, lease_ms, silence_ms, seen_at, contact_since, lease_until, has_left, tzdb) VALUES \
                 ({in:node}, CAST({in:lease_ms} AS {int}), CAST({in:silence_ms} AS {int}), {now}, {now}, {now} + \
                 CAST({in:lease_ms} AS {int}), 0, {in:tzdb}) ON CONFLICT (name) DO UPDATE SET contact_since = CASE WHEN n.seen_at NOT \
                 BETWEEN {now} - n.silence_ms AND {now} THEN {now} ELSE n.contact_since END, seen_at = {now}, lease_ms = \
                 excluded.lease_ms, silence_ms = excluded.silence_ms, lease_until = CASE WHEN n.has_left = 1 THEN \
                 n.lease_until ELSE {now} + excluded.lease_ms END RETURNING {object}('now', seen_at)",
            ),
            greet: say(
                "INSERT INTO {nodes} AS n (name, lease_ms, silence_ms, seen_at, contact_since, lease_until, has_left, tzdb) VALUES \
                 ({in:node}, CAST({in:lease_ms} AS {int}), CAST({in:silence_ms} AS {int}), {now}, {now}, {now} + \
                 CAST({in:lease_ms} AS {int}), 0, {in:tzdb}) ON CONFLICT (name) DO NOTHING",
            ),
            leave: say(
                "UPDATE {nodes} SET has_left = 1, lease_until = {now} WHERE name = {in:node} RETURNING {object}('held', \
                 (SELECT COUNT(*) FROM {runs} AS r WHERE r.holder = {in:node}))",
            ),
            prune_nodes: say(
                "DELETE FROM {nodes} AS n WHERE n.seen_at < {now} - CAST({in:kept_ms} AS {int}) AND n.lease_until < {now} AND \
                 NOT EXISTS (SELECT 1 FROM {runs} AS r WHERE r.holder = n.name)",
            ),
            forget: say("DELETE FROM {known} WHERE node NOT IN (SELECT name FROM {nodes})"),
            know: say(&format!(
                "INSERT INTO {{known}} (task, node, since, reads) SELECT x.task, {{in:node}}, x.since, x.reads FROM {} AS x WHERE \
                 TRUE ON CONFLICT (task, node) DO UPDATE SET since = excluded.since, reads = excluded.reads",
                given("since", &[("task", Type::Int), ("since", Type::Int), ("reads", Type::Int)])
            )),
            unknow: say(&format!(
                "DELETE FROM {{known}} AS k WHERE k.node = {{in:node}} AND EXISTS (SELECT 1 FROM {} AS x WHERE x.task = k.task \
                 AND k.since <= x.version)",
                given("given_up", &[("task", Type::Int), ("version", Type::Int)])
            )),
            known: say(&format!(
                "SELECT {{array}}(k.task) FROM (SELECT DISTINCT k.task FROM {{known}} AS k JOIN {{nodes}} AS n ON n.name = \
                 k.node WHERE {} AND k.node <> {{in:node}} AND n.has_left = 0 AND n.lease_until >= {{now}}) AS k",
                ids("k.task")
            )),
            pause_all: say(
                "UPDATE {pauses} SET paused = {in:paused}, resumed_at = COALESCE(CAST({in:resumed_at} AS {int}), resumed_at)",
            ),
            count_changes: say(
                "UPDATE {meta} SET version = version + CAST({in:count} AS {int}) RETURNING {object}('version', version)",
            ),
            insert_changes: say(&format!(
                "INSERT INTO {{changes}} ({columns}) SELECT {columns} FROM {} AS x",
                given("changes", CHANGE),
                columns = names(CHANGE)
            )),
            prune_changes: say("DELETE FROM {changes} WHERE version <= CAST({in:before} AS {int})"),
            changes: say(&format!(
                "SELECT {{object}}('version', (SELECT version FROM {{meta}}), 'oldest', (SELECT MIN(version) FROM \
                 {{changes}}), 'changes', {{nested}}((SELECT {{array}}({}) FROM (SELECT * FROM {{changes}} WHERE version > \
                 CAST({{in:version}} AS {{int}}) ORDER BY version) AS c)))",
                object("c", CHANGE, &[])
            )),
            version: say(
                "SELECT {object}('version', version, 'fresh', (SELECT COUNT(*) FROM (SELECT 1 FROM {jobs} WHERE is_fresh = 1 LIMIT 1) \
                 AS j)) FROM {meta}",
            ),
            asked: say(&runs_of("r.cancelling IS NOT NULL OR (r.holder IS NOT NULL AND r.put_off_by IS NOT NULL)")),
            list_alive: each_way(list_alive, say),
            list_ended: each_way(list_ended, say),
            last_ended: say(&last_ended()),
            last_end: say("SELECT {object}('seq', COALESCE(MAX(seq), 0)) FROM {history}"),
            ledger: say(
                "SELECT {object}('occurrences', occurrences, 'runs', runs, 'recorded', recorded) FROM {tasks} WHERE id = \
                 CAST({in:id} AS {int})",
            ),
            unclaimed: say(
                "SELECT {array}({object}('id', u.id, 'task', u.task, 'holder', u.holder)) FROM (SELECT r.id, r.task, r.holder FROM \
                 {runs} AS r WHERE r.due_at < {now} - CAST({in:wait_ms} AS {int}) AND NOT EXISTS (SELECT 1 FROM {nodes} AS n \
                 WHERE n.lease_until >= {now} - CAST({in:wait_ms} AS {int}) AND (n.name = r.holder OR n.has_left = 0 AND EXISTS \
                 (SELECT 1 FROM {known} AS k WHERE k.task = r.task AND k.node = n.name AND (r.origin <> 'job' OR k.reads >= (SELECT \
                 j.version FROM {jobs} AS j WHERE j.run = r.id))))) ORDER BY r.id LIMIT CAST({in:max} AS {int})) AS u",
            ),
            jobs: JobStatements::new(dialect, tables),
            task_of_run: say("SELECT {object}('task', task) FROM {runs} WHERE id = CAST({in:id} AS {id})"),
        }
    }
}

pub(super) fn ids(column: &str) -> String {
    format!("{column} IN (SELECT CAST(e.value AS {{int}}) FROM {{words:ids}})")
}

pub(super) fn run_ids(column: &str) -> String {
    format!("{column} IN (SELECT CAST(e.value AS {{id}}) FROM {{words:run_ids}})")
}

/// Locks the tasks of which `which` holds, and reads `task` of each.
fn locked(dialect: Dialect, which: &str, how: &str, task: &str) -> String {
    let tasks = format!("(SELECT * FROM {{tasks}} WHERE {which} ORDER BY id {how}) AS t");
    match dialect {
        // What a subquery gives it takes for text, and would read it once more.
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite | Dialect::OlderSqlite => {
            format!("SELECT {{object}}({SEEN}, 'tasks', {{array}}({task})) FROM {tasks}")
        }
        // What holds for all tasks is locked before them.
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            format!("SELECT {{object}}({SEEN}, 'tasks', (SELECT {{array}}({task}) FROM {tasks}))")
        }
    }
}

fn view(dialect: Dialect) -> String {
    let alive = "COALESCE((SELECT r.id FROM {runs} AS r WHERE r.task = t.id AND r.began IS NOT NULL AND r.origin = 'schedule' \
                 ORDER BY r.began LIMIT 1), (SELECT r.id FROM {runs} AS r WHERE r.task = t.id AND r.began IS NULL AND ({lane}) = 0 \
                 AND r.origin = 'schedule' ORDER BY r.due_at, r.scheduled_at, r.made LIMIT 1))";
    let latest = "(SELECT h.state FROM {history} AS h WHERE h.task = t.id ORDER BY h.seq DESC LIMIT 1)";
    let more = [
        ("name", "t.name"),
        ("declared", "t.declared"),
        ("rescheduled", "t.rescheduled"),
        ("alive", alive),
        ("latest", latest),
    ];
    locked(dialect, &ids("id"), "", &object("t", TASK, &more)).replace("{share}", "")
}

/// What the decision about one more run of a full task needs to know of those that are there.
fn crowd() -> String {
    let first = |which: &str, order: &str| {
        format!("(SELECT r.id FROM {{runs}} AS r WHERE r.task = t.id AND {which} ORDER BY {order} LIMIT 1)")
    };
    let count = |which: &str| format!("(SELECT COUNT(*) FROM {{runs}} AS r WHERE r.task = t.id AND {which})");
    format!(
        "SELECT {{array}}({{object}}('id', t.id, 'oldest', {}, 'first', {}, 'newest_scheduled', {}, 'newest_asked', {}, \
         'scheduled', {}, 'asked', {})) FROM {{tasks}} AS t WHERE {}",
        first("r.began IS NOT NULL", "r.began"),
        first("r.began IS NULL", OLDEST),
        first(SCHEDULED, NEWEST),
        first(ASKED, NEWEST),
        count(SCHEDULED),
        count(ASKED),
        ids("t.id")
    )
}

fn runs_of(which: &str) -> String {
    format!("SELECT {{array}}({}) FROM {{runs}} AS r WHERE {which}", row("r", RUN))
}

/// The last runs of each task, and, for a time, the last failures.
fn prune() -> String {
    format!(
        "DELETE FROM {{history}} WHERE seq IN (SELECT h.seq FROM (SELECT task, seq, finished_at, CASE WHEN {IS_FAILURE} THEN 1 ELSE \
         0 END AS is_failure, row_number() OVER (PARTITION BY task ORDER BY seq DESC) AS place, row_number() OVER (PARTITION \
         BY task, CASE WHEN {IS_FAILURE} THEN 1 ELSE 0 END ORDER BY seq DESC) AS place_of_kind FROM {{history}} WHERE {}) AS h JOIN \
         {{tasks}} AS t ON t.id = h.task WHERE h.place > t.keep_runs AND (h.is_failure = 0 OR h.place_of_kind > \
         t.keep_failures OR h.finished_at < {{now}} - t.keep_failures_ms))",
        ids("task")
    )
}
