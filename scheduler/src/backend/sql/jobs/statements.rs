//! The statements about jobs: as those of the [store](super::super::statements), each of one JSON parameter.

use super::super::dialect::{Dialect, Names, given, given_rows, names};
use super::super::rows::{RUN, Type};
use super::super::statements::{NOT_PAUSED, ids, run_ids};
use crate::backend::{JOBS_WAITING_MAX, LETTERS_MAX};

/// All statements about jobs.
#[derive(Debug)]
pub(crate) struct JobStatements {
    /// Bounds how long a lock is waited for, where that is not bounded by how the database is opened.
    pub(in super::super) be_brief: Option<&'static str>,
    /// Which store it is.
    pub(super) store: String,
    /// The name of a task, and which store it is in.
    pub(super) name: String,
    /// Tasks that are there, and how many jobs of each wait, where they are to be counted.
    pub(super) tasks: String,
    /// Frees keys whose time is over.
    pub(super) free_keys: String,
    /// Who holds keys.
    pub(super) key_holders: String,
    /// Which jobs are there.
    pub(super) known: String,
    pub(super) insert: String,
    /// In which tasks a job might be claimed, and when the next one may begin.
    pub(super) claimable: String,
    /// The first few of each task that wait.
    pub(super) candidates: String,
    /// Inserts runs that have begun.
    pub(super) insert_begun: String,
    pub(super) begin: String,
    /// What is known of jobs besides their arguments.
    pub(super) facts: String,
    pub(super) arguments: String,
    /// The tasks in which a job waits, and whether a node can read the first.
    pub(super) waiting: String,
    pub(in super::super) bury: String,
    pub(in super::super) forget: String,
    /// Keeps jobs that are over for their keys, without what they were called with.
    pub(super) keep_keys: String,
    /// A job that waits, or a dead letter.
    pub(super) one: String,
    /// The task of a job that waits.
    pub(super) task_of: String,
    pub(super) letters: String,
    /// Removes a letter; its key stays with what takes its place.
    pub(super) drop_letter: String,
    /// Gives up a letter whose key is to be held for longer.
    pub(super) keep_letter_key: String,
    /// Takes note of what callers' own transactions have brought.
    pub(super) take_note: String,
    pub(super) unclaimed: String,
    /// Buries jobs that have begun and whose runs are gone: they would hold their keys for ever.
    pub(super) bury_lost: String,
    pub(super) prune: [String; 3],
    /// Give up the letters of some tasks that are too many.
    pub(super) crowd_out: [String; 2],
}

/// The columns of a job that is enqueued.
const NEW: &[(&str, Type)] = &[
    ("place", Type::Int),
    ("run", Type::Id),
    ("task", Type::Int),
    ("is_fresh", Type::Int),
    ("priority", Type::Int),
    ("begins_at", Type::Int),
    ("delay_ms", Type::Int),
    ("version", Type::Int),
    ("arguments", Type::Text),
    ("unique_key", Type::Text),
    ("unique_ms", Type::Int),
];

const KEYS: &[(&str, Type)] = &[("task", Type::Int), ("unique_key", Type::Text)];

const READS: &[(&str, Type)] = &[("task", Type::Int), ("version", Type::Int)];

const DEAD: &[(&str, Type)] = &[
    ("run", Type::Id),
    ("died_at", Type::Int),
    ("state", Type::Text),
    ("attempt", Type::Int),
    ("failure", Type::Text),
];

/// Whether a job of the task `t` waits that may begin. The present is asked for once, so that an index finds what is due by it:
/// PostgreSQL would ask its clock anew for each row.
pub(in super::super) const WAITS: &str =
    "EXISTS (SELECT 1 FROM {jobs} AS j WHERE j.task = t.id AND j.stand = 'waits' AND j.scheduled_at <= (SELECT {now}))";

/// Whether the key of the job `j` is to be held although that has ended.
const HOLDS_ON: &str = "(j.holds_key = 1 AND COALESCE(j.unique_until, 0) > {now})";

/// How many rows are given up by one statement at most: a step has its time.
pub(super) const GIVEN_UP_MAX: u64 = 1_000;

/// Gives up the letters `j` of which `which` holds, but for the keys that are to be held for longer. What the transaction of a
/// caller has locked is left for the next time.
fn given_up(which: &str) -> [String; 2] {
    let found = format!("seq IN (SELECT j.seq FROM {{jobs}} AS j WHERE j.stand = 'dead' AND {which} AND");
    [
        format!(
            "UPDATE {{jobs}} SET stand = 'over', arguments = '' WHERE {found} {HOLDS_ON} LIMIT {GIVEN_UP_MAX} {{lock_free}})"
        ),
        format!("DELETE FROM {{jobs}} WHERE {found} NOT {HOLDS_ON} LIMIT {GIVEN_UP_MAX} {{lock_free}})"),
    ]
}

impl JobStatements {
    pub(in super::super) fn new(dialect: Dialect, tables: &Names) -> Self {
        let say = |text: &str| dialect.say(text, tables);
        // By the index of the instants, which the sum is none for, all that is due would be sorted to find the first few.
        let first = "FROM {jobs} AS k WHERE k.task = x.task AND k.stand = 'waits' AND k.scheduled_at + 0 <= (SELECT {now}) AND k.version <= \
                     x.version ORDER BY k.priority DESC, k.scheduled_at, k.seq LIMIT CAST({in:max} AS {int})";
        let of_each = match dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite | Dialect::OlderSqlite => format!("JOIN {{jobs}} AS j ON j.seq IN (SELECT k.seq {first})"),
            // In the other words it would look for the first few anew for each row that there is.
            #[cfg(feature = "postgres")]
            Dialect::Postgres => format!("CROSS JOIN LATERAL (SELECT k.* {first}) AS j"),
        };
        let be_brief = match dialect {
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite | Dialect::OlderSqlite => None,
            #[cfg(feature = "postgres")]
            Dialect::Postgres => Some("SET LOCAL lock_timeout = '2s'"),
        };
        let [leave_key, give_up] = given_up("j.died_at < {now} - CAST({in:kept_ms} AS {int})").map(|text| say(&text));
        let too_many = format!(
            "j.seq IN (SELECT d.seq FROM (SELECT l.seq, row_number() OVER (PARTITION BY l.task ORDER BY l.died_at DESC, l.seq DESC) AS \
             place FROM {{jobs}} AS l WHERE l.stand = 'dead' AND {}) AS d WHERE d.place > {LETTERS_MAX})",
            ids("l.task")
        );
        Self {
            be_brief,
            store: say("SELECT {object}('store', store) FROM {meta}"),
            name: say(
                "SELECT {object}('name', name, 'store', (SELECT store FROM {meta})) FROM {tasks} WHERE id = CAST({in:task} AS {int})",
            ),
            tasks: say(&format!(
                "SELECT {{array}}({{object}}('id', t.id, 'waiting', CASE WHEN t.id IN (SELECT CAST(e.value AS {{int}}) FROM \
                 {{words:counted}}) THEN (SELECT COUNT(*) FROM (SELECT 1 FROM {{jobs}} AS j WHERE j.task = t.id AND j.stand = 'waits' \
                 LIMIT {JOBS_WAITING_MAX}) AS w) ELSE 0 END)) FROM {{tasks}} AS t WHERE {}",
                ids("t.id")
            )),
            free_keys: say(&format!(
                "UPDATE {{jobs}} AS j SET holds_key = 0 WHERE j.seq IN (SELECT h.seq FROM {} AS x JOIN {{jobs}} AS h ON h.task = x.task \
                 AND h.unique_key = x.unique_key WHERE h.holds_key = 1 AND h.stand IN ('dead', 'over') AND (h.unique_until IS NULL OR \
                 h.unique_until <= {{now}}))",
                given("keys", KEYS)
            )),
            key_holders: say(&format!(
                "SELECT {{array}}({{object}}('task', j.task, 'unique_key', j.unique_key, 'run', j.run)) FROM {} AS x JOIN {{jobs}} AS j \
                 ON j.task = x.task AND j.unique_key = x.unique_key WHERE j.holds_key = 1",
                given("keys", KEYS)
            )),
            known: say(&format!("SELECT {{array}}(j.run) FROM {{jobs}} AS j WHERE {}", run_ids("j.run"))),
            insert: say(&format!(
                "INSERT INTO {{jobs}} (run, task, stand, is_fresh, priority, scheduled_at, version, arguments, unique_key, holds_key, \
                 unique_until) SELECT x.run, x.task, 'waits', x.is_fresh, COALESCE(x.priority, t.priority), COALESCE(x.begins_at, \
                 {{now}} + x.delay_ms), x.version, x.arguments, x.unique_key, CASE WHEN x.unique_key IS NULL THEN 0 ELSE 1 END, {{now}} + \
                 x.unique_ms FROM {} AS x JOIN {{tasks}} AS t ON t.id = x.task WHERE TRUE ORDER BY x.task, x.unique_key, x.place ON \
                 CONFLICT DO NOTHING",
                given("jobs", NEW)
            )),
            claimable: say(&format!(
                "SELECT {{object}}('tasks', {{nested}}((SELECT {{array}}(t.id) FROM {} AS x JOIN {{tasks}} AS t ON t.id = x.task WHERE \
                 (t.alive_max IS NULL OR t.begun < t.alive_max) AND {NOT_PAUSED} AND EXISTS (SELECT 1 FROM {{jobs}} AS j WHERE j.task = \
                 t.id AND j.stand = 'waits' AND j.scheduled_at <= (SELECT {{now}}) AND j.version <= x.version))), 'next_at', (SELECT MIN(f.at) \
                 FROM (SELECT (SELECT MIN(j.scheduled_at) FROM {{jobs}} AS j WHERE j.task = x.task AND j.stand = 'waits' AND \
                 j.scheduled_at > (SELECT {{now}})) AS at FROM {} AS x) AS f))",
                given("reads", READS),
                given("reads", READS)
            )),
            candidates: say(&format!(
                "SELECT {{array}}({{list}}(j.run, j.task, j.priority, j.scheduled_at, j.seq, {{bytes:j.arguments}})) FROM {} AS x {of_each}",
                given("reads", READS)
            )),
            insert_begun: say(&format!(
                "INSERT INTO {{runs}} ({columns}) SELECT {columns} FROM {} AS x",
                given_rows("runs", RUN),
                columns = names(RUN)
            )),
            begin: say(&format!(
                "UPDATE {{jobs}} AS j SET stand = 'begun', is_fresh = 0 WHERE {} AND j.stand = 'waits'",
                run_ids("j.run")
            )),
            facts: say(&format!(
                "SELECT {{array}}({{object}}('run', j.run, 'priority', j.priority, 'version', j.version, 'bytes', \
                 {{bytes:j.arguments}})) FROM {{jobs}} AS j WHERE {}",
                run_ids("j.run")
            )),
            arguments: say(&format!(
                "SELECT {{array}}({{object}}('run', j.run, 'version', j.version, 'arguments', j.arguments)) FROM {{jobs}} AS j WHERE {}",
                run_ids("j.run")
            )),
            waiting: say(&format!(
                "SELECT {{array}}({{object}}('task', t.id, 'unread', CASE WHEN (SELECT k.version FROM {{jobs}} AS k WHERE k.task = t.id AND \
                 k.stand = 'waits' AND k.scheduled_at + 0 <= (SELECT {{now}}) ORDER BY k.priority DESC, k.scheduled_at, k.seq LIMIT 1) > \
                 COALESCE((SELECT n.reads FROM {{known}} AS n WHERE n.task = t.id AND n.node = {{in:node}}), 0) THEN 1 ELSE 0 END)) FROM \
                 {{tasks}} AS t WHERE {} AND {WAITS}",
                ids("t.id")
            )),
            bury: say(&format!(
                "UPDATE {{jobs}} AS j SET stand = 'dead', is_fresh = 0, died_at = x.died_at, state = x.state, attempt = x.attempt, \
                 failure = x.failure, holds_key = CASE WHEN j.holds_key = 1 AND j.unique_until > {{now}} THEN 1 ELSE 0 END FROM {} AS \
                 x WHERE j.run = x.run",
                given("dead", DEAD)
            )),
            forget: say(&format!(
                "DELETE FROM {{jobs}} AS j WHERE {} AND (j.unique_until IS NULL OR j.unique_until <= {{now}})",
                run_ids("j.run")
            )),
            keep_keys: say(&format!(
                "UPDATE {{jobs}} AS j SET stand = 'over', is_fresh = 0, arguments = '' WHERE {}",
                run_ids("j.run")
            )),
            one: say(
                "SELECT {object}('run', j.run, 'task', j.task, 'stand', j.stand, 'priority', j.priority, 'scheduled_at', \
                 j.scheduled_at, 'version', j.version, 'arguments', j.arguments, 'unique_key', j.unique_key, 'unique_ms', CASE WHEN \
                 j.unique_until > {now} THEN j.unique_until - {now} END) FROM (SELECT * FROM {jobs} WHERE run = CAST({in:id} AS {id}) \
                 {lock}) AS j",
            ),
            task_of: say(
                "SELECT {object}('task', task) FROM {jobs} WHERE run = CAST({in:id} AS {id}) AND stand = 'waits'",
            ),
            letters: say(
                "SELECT {array}({object}('run', j.run, 'task', j.task, 'scheduled_at', j.scheduled_at, 'version', j.version, \
                 'arguments', j.arguments, 'died_at', j.died_at, 'state', j.state, 'attempt', j.attempt, 'failure', j.failure)) FROM \
                 (SELECT * FROM {jobs} WHERE stand = 'dead' AND died_at >= {now} - CAST({in:kept_ms} AS {int}) AND ({in:task} IS NULL \
                 OR task = CAST({in:task} AS {int})) AND ({in:id} IS NULL OR run = CAST({in:id} AS {id})) ORDER BY died_at DESC, seq \
                 DESC LIMIT CAST({in:limit} AS {int})) AS j",
            ),
            drop_letter: say("DELETE FROM {jobs} WHERE run = CAST({in:id} AS {id}) AND stand = 'dead'"),
            keep_letter_key: say(&format!(
                "UPDATE {{jobs}} AS j SET stand = 'over', arguments = '' WHERE j.run = CAST({{in:id}} AS {{id}}) AND j.stand = 'dead' AND \
                 {HOLDS_ON}"
            )),
            take_note: say(
                "UPDATE {jobs} SET is_fresh = 0 WHERE seq IN (SELECT seq FROM {jobs} WHERE is_fresh = 1 AND {in:all} IS NOT NULL \
                 {lock_free})",
            ),
            unclaimed: say(
                "SELECT {array}({object}('id', u.run, 'task', u.task)) FROM (SELECT j.run, j.task FROM {jobs} AS j WHERE j.stand = \
                 'waits' AND j.scheduled_at < {now} - CAST({in:wait_ms} AS {int}) AND NOT EXISTS (SELECT 1 FROM {nodes} AS n JOIN \
                 {known} AS k ON k.node = n.name WHERE n.has_left = 0 AND n.lease_until >= {now} - CAST({in:wait_ms} AS {int}) AND \
                 k.task = j.task AND k.reads >= j.version) ORDER BY j.seq LIMIT CAST({in:max} AS {int})) AS u",
            ),
            bury_lost: say(
                "UPDATE {jobs} AS j SET stand = 'dead', is_fresh = 0, died_at = {now}, state = 'abandoned', attempt = 0, failure = \
                 {in:failure}, holds_key = CASE WHEN j.holds_key = 1 AND j.unique_until > {now} THEN 1 ELSE 0 END WHERE j.stand = \
                 'begun' AND NOT EXISTS (SELECT 1 FROM {runs} AS r WHERE r.id = j.run)",
            ),
            prune: [
                say(&format!(
                    "DELETE FROM {{jobs}} WHERE seq IN (SELECT seq FROM {{jobs}} WHERE stand = 'over' AND unique_until <= {{now}} \
                         AND {{in:kept_ms}} IS NOT NULL LIMIT {GIVEN_UP_MAX} {{lock_free}})"
                )),
                leave_key,
                give_up,
            ],
            crowd_out: given_up(&too_many).map(|text| say(&text)),
        }
    }
}
