//! What is searched for: one meaning, written as each library writes it.

/// An expression. `None`: the library has no way to say it.
#[derive(Debug)]
pub(super) struct Expression {
    /// As ours writes it, and as the report names it.
    pub(super) name: &'static str,
    /// For `cron`, where Sunday is 1 (hence names) and both day fields must match.
    pub(super) cron: Option<&'static str>,
    /// For `croner`.
    pub(super) croner: Option<&'static str>,
}

pub(super) const EXPRESSIONS: [Expression; 8] = [
    same("* * * * * *"),
    same("0 */5 * * * *"),
    same("0 30 9 * * MON-FRI"),
    same("0 15 2,14 * * *"),
    same("0 0 0 1 1 *"),
    same("0 0 0 29 2 *"),
    Expression { name: "0 0 0 L * *", cron: None, croner: Some("0 0 0 L * *") },
    Expression { name: "0 0 0 13 * +FRI", cron: Some("0 0 0 13 * FRI"), croner: Some("0 0 0 13 * +FRI") },
];

const fn same(text: &'static str) -> Expression {
    Expression { name: text, cron: Some(text), croner: Some(text) }
}
