//! Bugs of who holds a run: of tokens, of leases, and of the limits that hold for all nodes together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use symphra_scheduler::backend::{
    Admission, Backend, BackendFuture, Claim, Claims, Finish, Firing, Holder, Holding, Presence, Registered,
    Registration, Stored, TaskRules, Token,
};
use symphra_scheduler::{Delivery, MemoryBackend, Overlap, RunId, RunState, Timestamp};

use super::Defect;

/// The token under which each run is held, as the store has answered.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<RunId, Token>>);

impl Tokens {
    fn all(&self) -> MutexGuard<'_, HashMap<RunId, Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, run: RunId) -> Option<Token> {
        self.all().get(&run).copied()
    }

    pub(super) fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        Box::pin(async move {
            let admissions = store.enqueue(holder, firings).await?;
            let held = firings.iter().zip(&admissions).filter_map(|(firing, admission)| match admission {
                Admission::Claimed(hold) => Some((firing.id, hold.token)),
                _ => None,
            });
            self.all().extend(held);
            Ok(admissions)
        })
    }

    fn claim<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        claim: &'a Claim,
    ) -> BackendFuture<'a, Claims> {
        Box::pin(async move {
            let claims = store.claim(holder, claim).await?;
            self.all().extend(claims.runs.iter().map(|run| (run.id, run.hold.token)));
            Ok(claims)
        })
    }

    /// The ends, each under the token that holds now.
    fn finish<'a>(&'a self, store: &'a MemoryBackend, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        let mut changed = ended.to_vec();
        changed.iter_mut().for_each(|end| end.token = self.of(end.id).unwrap_or(end.token));
        Box::pin(async move { store.finish(&changed).await })
    }
}

#[derive(Debug, Default)]
pub(super) struct AnyToken(Tokens);

impl Defect for AnyToken {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        self.0.enqueue(store, holder, firings)
    }

    fn claim<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        claim: &'a Claim,
    ) -> BackendFuture<'a, Claims> {
        self.0.claim(store, holder, claim)
    }

    fn finish<'a>(&'a self, store: &'a MemoryBackend, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        self.0.finish(store, ended)
    }
}

/// Tells who takes a run over the token of who had it, and takes that for the one that holds.
#[derive(Debug, Default)]
pub(super) struct SameToken {
    held: Tokens,
    told: Tokens,
}

impl SameToken {
    /// The token that holds, where this is the one that was told.
    fn real(&self, id: RunId, told: Token) -> Token {
        if self.told.of(id) == Some(told) { self.held.of(id).unwrap_or(told) } else { told }
    }
}

impl Defect for SameToken {
    fn enqueue<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        firings: &'a [Firing],
    ) -> BackendFuture<'a, Vec<Admission>> {
        Box::pin(async move {
            let admissions = self.held.enqueue(store, holder, firings).await?;
            for firing in firings {
                if let Some(token) = self.held.of(firing.id) {
                    self.told.all().insert(firing.id, token);
                }
            }
            Ok(admissions)
        })
    }

    fn claim<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        claim: &'a Claim,
    ) -> BackendFuture<'a, Claims> {
        Box::pin(async move {
            let mut claims = self.held.claim(store, holder, claim).await?;
            for run in &mut claims.runs {
                let mut told = self.told.all();
                match told.get(&run.id) {
                    Some(&before) if run.was == RunState::Running => run.hold.token = before,
                    _ => drop(told.insert(run.id, run.hold.token)),
                }
            }
            Ok(claims)
        })
    }

    fn finish<'a>(&'a self, store: &'a MemoryBackend, ended: &'a [Finish]) -> BackendFuture<'a, Vec<Stored>> {
        let mut changed = ended.to_vec();
        changed.iter_mut().for_each(|end| end.token = self.real(end.id, end.token));
        Box::pin(async move { store.finish(&changed).await })
    }

    fn lost<'a>(&'a self, store: &'a MemoryBackend, held: &'a [Holding]) -> BackendFuture<'a, Vec<RunId>> {
        let mut changed = held.to_vec();
        changed.iter_mut().for_each(|run| run.token = self.real(run.id, run.token));
        Box::pin(async move { store.lost(&changed).await })
    }
}

/// The number of a node is even.
fn is_chosen(holder: &Holder) -> bool {
    let number = holder.node.split('-').next().unwrap_or_default();
    number.ends_with(['0', '2', '4', '6', '8'])
}

/// How often each holder has beaten.
#[derive(Debug, Default)]
struct Beats(Mutex<HashMap<Arc<str>, u64>>);

impl Beats {
    /// Renews each `every`th time, from the first on; and tells the time in any case.
    fn renew<'a>(&'a self, store: &'a MemoryBackend, holder: &'a Holder, every: u64) -> BackendFuture<'a, Timestamp> {
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = beats.entry(Arc::clone(&holder.node)).or_default();
        let is_renewed = count.is_multiple_of(every) || !is_chosen(holder);
        *count += 1;
        drop(beats);
        let asks = Holder { node: "who asks for the time".into(), ..holder.clone() };
        Box::pin(async move { store.heartbeat(if is_renewed { holder } else { &asks }).await })
    }
}

#[derive(Debug, Default)]
pub(super) struct NeverRenewed(Beats);

impl Defect for NeverRenewed {
    fn heartbeat<'a>(&'a self, store: &'a MemoryBackend, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        self.0.renew(store, holder, u64::MAX)
    }
}

#[derive(Debug, Default)]
pub(super) struct SeldomRenewed(Beats);

impl Defect for SeldomRenewed {
    fn heartbeat<'a>(&'a self, store: &'a MemoryBackend, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        self.0.renew(store, holder, 9)
    }
}

/// Takes whose lease has run out for one that has left, before whoever looks.
#[derive(Debug)]
pub(super) struct NoContactAsked;

impl Defect for NoContactAsked {
    fn claim<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        claim: &'a Claim,
    ) -> BackendFuture<'a, Claims> {
        Box::pin(async move {
            for row in store.nodes().await?.iter().filter(|row| row.presence == Presence::Silent) {
                store.leave(&Holder::new(Arc::clone(&row.node), row.lease)).await?;
            }
            store.claim(holder, claim).await
        })
    }
}

/// Renews the leases of all whom it has ever known.
#[derive(Debug, Default)]
pub(super) struct Immortal(Mutex<HashMap<Arc<str>, Holder>>);

impl Defect for Immortal {
    fn heartbeat<'a>(&'a self, store: &'a MemoryBackend, holder: &'a Holder) -> BackendFuture<'a, Timestamp> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(Arc::clone(&holder.node), holder.clone());
        let all: Vec<Holder> = known.values().cloned().collect();
        drop(known);
        Box::pin(async move {
            for other in &all {
                store.heartbeat(other).await?;
            }
            store.heartbeat(holder).await
        })
    }
}

/// Registers the tasks by rules that are not theirs.
fn by_other_rules<'a>(
    store: &'a MemoryBackend,
    holder: &'a Holder,
    tasks: &[Registration],
    change: impl Fn(&mut TaskRules),
) -> BackendFuture<'a, Vec<Registered>> {
    let mut changed = tasks.to_vec();
    changed.iter_mut().for_each(|task| change(&mut task.rules));
    Box::pin(async move { store.register(holder, &changed).await })
}

#[derive(Debug)]
pub(super) struct AtMostOnceAgain;

impl Defect for AtMostOnceAgain {
    fn register<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        tasks: &'a [Registration],
    ) -> BackendFuture<'a, Vec<Registered>> {
        by_other_rules(store, holder, tasks, |rules| rules.delivery = Delivery::AtLeastOnce)
    }
}

#[derive(Debug)]
pub(super) struct NoOverlapSeen;

impl Defect for NoOverlapSeen {
    fn register<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        tasks: &'a [Registration],
    ) -> BackendFuture<'a, Vec<Registered>> {
        by_other_rules(store, holder, tasks, |rules| (rules.alive_max, rules.overlap) = (None, Overlap::Allow))
    }
}

#[derive(Debug)]
pub(super) struct NoGroup;

impl Defect for NoGroup {
    fn register<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        tasks: &'a [Registration],
    ) -> BackendFuture<'a, Vec<Registered>> {
        by_other_rules(store, holder, tasks, |rules| rules.group = None)
    }
}

#[derive(Debug)]
pub(super) struct NoMaxRuns;

impl Defect for NoMaxRuns {
    fn register<'a>(
        &'a self,
        store: &'a MemoryBackend,
        holder: &'a Holder,
        tasks: &'a [Registration],
    ) -> BackendFuture<'a, Vec<Registered>> {
        by_other_rules(store, holder, tasks, |rules| rules.max_runs = None)
    }
}
