//! How the databases say what they say differently.
//!
//! Statements are written once, with words in braces where databases differ; [`Dialect::say`] replaces them when a store is
//! opened. `{tasks}` and its like are tables, `{index:x}` and `{schema_index:x}` an index that is made and one that is
//! there, `{each:x}` the rows of the parameter's list `x`, `{words:x}` the plain values
//! of one, `{in:x}` one of its values as text, `{bytes:x}` how long a text is.

use super::rows::Type;

/// The tables of a store.
pub(crate) const TABLES: [&str; 12] =
    ["meta", "pauses", "tasks", "runs", "history", "nodes", "known", "groups", "changes", "logs", "jobs", "actions"];

/// The database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// SQLite before 3.51: it has no `jsonb_each`, which takes rows apart without reading each again for each column.
    #[cfg(feature = "sqlite")]
    OlderSqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// How the tables of one store are called.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    schema: Option<String>,
    namespace: String,
}

impl Names {
    /// The tables of `namespace`, which is plain letters, digits and underscores, in `schema` if the database has such.
    pub(crate) fn new(schema: Option<String>, namespace: &str) -> Self {
        Self { schema, namespace: namespace.into() }
    }

    pub(crate) fn table(&self, table: &str) -> String {
        let table = self.plain(table);
        match &self.schema {
            Some(schema) => format!("\"{}\".\"{table}\"", schema.replace('"', "\"\"")),
            None => format!("\"{table}\""),
        }
    }

    /// The name of a table, without its schema and quotes.
    pub(crate) fn plain(&self, table: &str) -> String {
        format!("{}_{table}", self.namespace)
    }
}

impl Dialect {
    /// `text` in the words of this database.
    pub(crate) fn say(self, text: &str, names: &Names) -> String {
        let mut said = String::with_capacity(text.len() * 2);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}').expect("a brace that is opened is closed");
            said.push_str(before);
            said.push_str(&self.word(word, names));
            rest = after;
        }
        said.push_str(rest);
        said
    }

    /// A statement of several parts, the first of which is named, that reads its parameter once: to read a long one takes a
    /// database longer than what the statement does with it.
    #[cfg(feature = "postgres")]
    pub(super) fn read_once(statement: &str) -> String {
        const READ: &str = "CAST($1 AS jsonb)";
        let parts = statement.strip_prefix("WITH ").expect("its first part is named");
        format!(
            "WITH given AS MATERIALIZED (SELECT {READ} AS rows), {}",
            parts.replace(READ, "(SELECT rows FROM given)")
        )
    }

    fn word(self, word: &str, names: &Names) -> String {
        if TABLES.contains(&word) {
            return names.table(word);
        }
        let (kind, name) = word.split_once(':').unwrap_or((word, ""));
        if kind == "index" {
            return format!("\"{}\"", names.plain(name));
        }
        if kind == "schema_index" {
            return names.table(name);
        }
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite | Self::OlderSqlite => match kind {
                "each" if self == Self::Sqlite => format!("jsonb_each($1, '$.{name}') AS e"),
                "each" | "words" => format!("json_each($1, '$.{name}') AS e"),
                "in" => format!("($1 ->> '{name}')"),
                "bytes" => format!("length(CAST({name} AS blob))"),
                "array" => "json_group_array".into(),
                "object" => "json_object".into(),
                "list" => "json_array".into(),
                // What comes out of a subquery is taken for text otherwise.
                "nested" => "json".into(),
                "now" => "CAST(unixepoch('subsec') * 1000 AS integer)".into(),
                "int" => "integer".into(),
                "text" | "id" => "text".into(),
                "serial" => "integer PRIMARY KEY AUTOINCREMENT".into(),
                "lock" | "lock_free" | "share" | "frequent" => String::new(),
                _ => unreachable!("a statement has a word that nobody knows: {word}"),
            },
            #[cfg(feature = "postgres")]
            Self::Postgres => match kind {
                "each" => format!("jsonb_array_elements(CAST($1 AS jsonb) -> '{name}') AS e(value)"),
                "words" => format!("jsonb_array_elements_text(CAST($1 AS jsonb) -> '{name}') AS e(value)"),
                "in" => format!("(CAST($1 AS jsonb) ->> '{name}')"),
                "bytes" => format!("octet_length({name})"),
                "array" => "json_agg".into(),
                "object" => "json_build_object".into(),
                "list" => "json_build_array".into(),
                "nested" => String::new(),
                // Rounded down: the present is not before it is.
                "now" => "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)".into(),
                "int" => "bigint".into(),
                "text" => "text".into(),
                "id" => "uuid".into(),
                "serial" => "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY".into(),
                "lock" => "FOR UPDATE".into(),
                "lock_free" => "FOR UPDATE SKIP LOCKED".into(),
                "share" => "FOR SHARE".into(),
                // Rows that change often: room for their next versions, and no waiting for the next round of cleaning.
                "frequent" => " WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, \
                                autovacuum_vacuum_threshold = 1000)"
                    .into(),
                _ => unreachable!("a statement has a word that nobody knows: {word}"),
            },
        }
    }
}

/// The rows of the parameter's list `list`, which are objects, as a table.
pub(super) fn given(list: &str, columns: &[(&str, Type)]) -> String {
    let columns = columns.iter().map(|(column, kind)| cast(&format!("'{column}'"), column, *kind));
    format!("(SELECT {} FROM {{each:{list}}})", columns.collect::<Vec<_>>().join(", "))
}

/// The rows of the parameter's list `list`, which are lists of `columns`, as a table.
pub(super) fn given_rows(list: &str, columns: &[(&str, Type)]) -> String {
    let columns = columns.iter().enumerate();
    let columns = columns.map(|(place, (column, kind))| cast(&place.to_string(), column, *kind));
    format!("(SELECT {} FROM {{each:{list}}})", columns.collect::<Vec<_>>().join(", "))
}

fn cast(key: &str, column: &str, kind: Type) -> String {
    let kind = match kind {
        Type::Int => "{int}",
        Type::Text => "{text}",
        Type::Id => "{id}",
    };
    format!("CAST(e.value ->> {key} AS {kind}) AS {column}")
}

/// The columns of a row of `from` as one JSON list.
pub(super) fn row(from: &str, columns: &[(&str, Type)]) -> String {
    let columns = columns.iter().map(|(column, _)| format!("{from}.{column}"));
    format!("{{list}}({})", columns.collect::<Vec<_>>().join(", "))
}

/// The columns of a row of `from`, and `more`, as one JSON object.
pub(super) fn object(from: &str, columns: &[(&str, Type)], more: &[(&str, &str)]) -> String {
    let columns = columns.iter().map(|(column, _)| format!("'{column}', {from}.{column}"));
    let more = more.iter().map(|(name, value)| format!("'{name}', {value}"));
    format!("{{object}}({})", columns.chain(more).collect::<Vec<_>>().join(", "))
}

/// The names of columns, as a list.
pub(super) fn names(columns: &[(&str, Type)]) -> String {
    columns.iter().map(|(column, _)| *column).collect::<Vec<_>>().join(", ")
}

/// Assignments of the given rows' columns, the key apart.
pub(super) fn assignments(columns: &[(&str, Type)]) -> String {
    let columns = columns.iter().filter(|(column, _)| *column != "id");
    columns.map(|(column, _)| format!("{column} = x.{column}")).collect::<Vec<_>>().join(", ")
}
