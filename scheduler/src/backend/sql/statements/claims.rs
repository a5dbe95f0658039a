//! What a claim asks: in which tasks there might be something, which runs of them come first, and when there will be more.

use super::super::dialect::{Dialect, row};
use super::super::rows::RUN;
use super::{LANE, NOT_PAUSED, OLDEST, ids};
use crate::backend::NODE_DEATHS_MAX;

/// Whether the runs of the node `n` may be taken over by the node that asks: `n` has left, or its lease has run out while
/// the one that asks was in unbroken contact for so long that `n` could have renewed it.
const IS_DEAD: &str = "(n.has_left = 1 OR (n.lease_until < {now} AND EXISTS (SELECT 1 FROM {nodes} AS me WHERE me.name = \
                       {in:node} AND me.seen_at >= {now} - me.silence_ms AND me.contact_since + n.lease_ms <= {now})))";

/// Whether a pause holds the run `r` back.
const IS_HELD_BACK: &str = "(r.origin IN ('schedule', 'start', 'job'))";

/// Tasks in which something might be claimed, the first first: those with queued runs, and room, or runs that need none;
/// those with a next attempt that is due; those with runs of dead nodes.
pub(super) fn claimable(known: &str) -> String {
    format!(
        "SELECT {{array}}({{object}}('task', c.id, 'due_at', c.due_at)) FROM (SELECT f.id, MAX(f.priority) AS priority, \
         MIN(f.due_at) AS due_at FROM (\
         SELECT t.id, t.priority, (SELECT MIN(r.due_at) FROM {{runs}} AS r WHERE r.task = t.id AND r.began IS NULL) AS \
         due_at FROM {{tasks}} AS t WHERE t.queued > 0 AND (t.alive_max IS NULL OR t.begun < t.alive_max OR t.submitted > 0) \
         AND ({NOT_PAUSED} OR t.submitted > 0) \
         UNION ALL SELECT t.id, t.priority, r.due_at FROM {{runs}} AS r JOIN {{tasks}} AS t ON t.id = r.task WHERE r.state = \
         'retrying' AND r.due_at <= {{now}} AND ({NOT_PAUSED} OR r.origin IN ('trigger', 'backfill')) \
         UNION ALL SELECT t.id, t.priority, r.due_at FROM {{nodes}} AS n JOIN {{runs}} AS r ON r.holder = n.name JOIN \
         {{tasks}} AS t ON t.id = r.task WHERE n.name <> {{in:node}} AND {IS_DEAD}\
         ) AS f {known} GROUP BY f.id ORDER BY priority DESC, due_at, f.id LIMIT CAST({{in:max}} AS {{int}})) AS c"
    )
}

/// The runs of locked tasks that might be claimed, with their lanes: of each lane the first few, and of each backfill the
/// first, unless one of it has begun. What waits behind those is not read: it may be a great deal.
pub(super) fn candidates(dialect: Dialect) -> String {
    let first = |which: &str| {
        format!(
            "SELECT * FROM (SELECT r.id FROM {{runs}} AS r WHERE r.task = t.id AND {which} ORDER BY {OLDEST} LIMIT \
             CAST({{in:max}} AS {{int}})) AS l"
        )
    };
    // A pause holds back what is scheduled and jobs, and nothing else.
    let both = |which: &str| {
        [IS_HELD_BACK.to_owned(), format!("NOT {IS_HELD_BACK}")]
            .map(|half| first(&format!("{which} AND {half}")))
            .join(" UNION ALL ")
    };
    let dead = format!(
        "r.began IS NOT NULL AND r.holder <> {{in:node}} AND EXISTS (SELECT 1 FROM {{nodes}} AS n WHERE n.name = r.holder AND \
         {IS_DEAD})"
    );
    let ends = format!("(t.at_most_once <> 0 OR r.cancelling IS NOT NULL OR r.deaths >= {})", NODE_DEATHS_MAX - 1);
    let lanes = [
        first("r.began IS NULL AND ({lane}) = 0"),
        first("r.began IS NULL AND ({lane}) = 1"),
        both("r.began IS NULL AND ({lane}) = 2"),
        first(&format!(
            "r.began IS NULL AND ({{lane}}) = 3 AND r.id IN (SELECT f.id FROM (SELECT b.id, row_number() OVER (PARTITION BY \
             b.origin_id ORDER BY {}) AS place FROM {{runs}} AS b WHERE b.task = t.id AND b.began IS NULL AND ({}) = 3) AS f \
             WHERE f.place = 1) AND NOT EXISTS (SELECT 1 FROM {{runs}} AS b WHERE b.task = r.task AND b.began IS NOT NULL AND \
             b.origin = 'backfill' AND b.origin_id = r.origin_id)",
            OLDEST.replace("r.", "b."),
            LANE.replace("r.", "b.")
        )),
        both("r.began IS NOT NULL AND r.state = 'retrying' AND r.due_at <= {now}"),
        first(&format!("{dead} AND {ends}")),
        both(&format!("{dead} AND NOT {ends}")),
    ]
    .join(" UNION ALL ");
    let of_each = match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite | Dialect::OlderSqlite => format!("JOIN {{runs}} AS r ON r.id IN ({lanes})"),
        #[cfg(feature = "postgres")]
        Dialect::Postgres => format!("CROSS JOIN LATERAL ({lanes}) AS c JOIN {{runs}} AS r ON r.id = c.id"),
    };
    let lane = format!(
        "CASE WHEN r.began IS NULL THEN {{lane}} WHEN r.state = 'retrying' THEN 4 WHEN {ends} THEN 6 ELSE 5 END * 2 + CASE WHEN \
         {IS_HELD_BACK} AND (r.began IS NULL OR r.state = 'retrying' OR NOT {ends}) THEN 1 ELSE 0 END"
    );
    format!("SELECT {{array}}({{list}}({}, {lane})) FROM {{tasks}} AS t {of_each} WHERE {}", row("r", RUN), ids("t.id"))
}

pub(super) fn retrying(known: &str) -> String {
    format!(
        "SELECT {{array}}({{object}}('task', f.task, 'due_at', f.due_at)) FROM (SELECT task, due_at FROM {{runs}} WHERE state \
         = 'retrying' AND due_at > {{now}} {known} ORDER BY due_at LIMIT CAST({{in:max}} AS {{int}})) AS f"
    )
}
