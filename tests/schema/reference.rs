//! The page of all keys is made of what the code says of them: the schema has the keys and what they mean, and the reader
//! says what it allows when a key has no value. What they mean in Chinese stands in [`chinese`], by the English sentence, so
//! that a sentence that is new or was changed has none and is missed.

mod chinese;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value as Json, json};

use super::{root, schema, text};
use chinese::CHINESE;

/// The page in one language.
struct Page {
    is_chinese: bool,
    /// The sentences that were looked up.
    used: RefCell<BTreeSet<String>>,
}

impl Page {
    fn said(&self, english: &str) -> String {
        if !self.is_chinese || english.is_empty() {
            return english.to_owned();
        }
        self.used.borrow_mut().insert(english.to_owned());
        let (_, chinese) = CHINESE
            .iter()
            .find(|(sentence, _)| *sentence == english)
            .unwrap_or_else(|| panic!("tests/schema/chinese.rs has no Chinese for {english:?}"));
        (*chinese).to_owned()
    }

    /// What may stand there, by what the reader says it allows.
    fn value(&self, allowed: &str) -> String {
        let allowed = allowed.trim_end_matches(", or none");
        let words: Vec<&str> = allowed.split(", ").flat_map(|part| part.split(" or ")).collect();
        if words.iter().all(|word| word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())) {
            return self.one_of(&words);
        }
        if !self.is_chinese {
            return quoted(allowed);
        }
        for (english, chinese) in [("a whole number, ", "整数，"), ("a number, ", "数，"), (DURATION, "时长，")]
        {
            if let Some(range) = allowed.strip_prefix(english) {
                return format!("{chinese}{}", range.replace(" or more", " 或以上").replace(" to ", " 至 "));
            }
        }
        self.said(allowed)
    }

    fn one_of(&self, words: &[&str]) -> String {
        let (last, others) = words.split_last().expect("a word");
        let (comma, or) = if self.is_chinese { ("、", " 或 ") } else { (", ", " or ") };
        let quoted: Vec<String> = others.iter().map(|word| format!("`{word}`")).collect();
        format!("{}{or}`{last}`", quoted.join(comma))
    }

    /// The default: as it would be written, or a sentence.
    fn default(&self, said: &str) -> String {
        match said.contains(' ') || said.is_empty() {
            true => self.said(said),
            false => format!("`{said}`"),
        }
    }

    /// The rows of a table, from the schemas of its keys.
    fn rows(&self, of: &Table, keys: &[(String, Json)]) -> Vec<String> {
        let rows = keys.iter().map(|(key, schema)| {
            let about = schema["description"].as_str().expect("a key is described").trim_end_matches('.');
            let (about, none) = about.split_once(". None: ").unwrap_or((about, ""));
            let (about, default) = about.split_once(". Default").unwrap_or((about, ""));
            let allowed = allowed(of, key, schema);
            let value = match (key.as_str(), shape(schema)) {
                ("retry", _) => format!("{}{}", self.value(&allowed), self.said(", or a table: see below")),
                (_, Shape::Keyed) => format!("{}{}", self.said("for each name "), self.value(&allowed)),
                (_, Shape::List) => format!("{}{}", self.value(&allowed), self.said(", or a list of them")),
                (_, Shape::Scalar) => self.value(&allowed),
            };
            let (about, none) = (self.said(about), self.said(none));
            let default = self.default(default.trim_start_matches(':').trim());
            assert_eq!(allowed.ends_with(", or none") || key == "retry", !none.is_empty(), "what none means: {key}");
            match of.name {
                "tasks" => format!("| `{key}` | {value} | {none} | {about} |"),
                "retry" => format!("| `{key}` | {value} | {about} |"),
                _ => {
                    let variable = match shape(schema) {
                        Shape::Scalar => format!("`SCHEDULER_{}`", key.to_uppercase().replace('.', "_")),
                        Shape::List | Shape::Keyed => String::new(),
                    };
                    format!("| `{key}` | {value} | {default} | {variable} | {about} |")
                }
            }
        });
        rows.collect()
    }

    fn head(&self, of: &Table) -> &'static str {
        match (of.name, self.is_chinese) {
            ("tasks", false) => "| key | value | `none` | meaning |\n|---|---|---|---|",
            ("tasks", true) => "| 键 | 值 | `none` | 含义 |\n|---|---|---|---|",
            ("retry", false) => "| key | value | meaning |\n|---|---|---|",
            ("retry", true) => "| 键 | 值 | 含义 |\n|---|---|---|",
            (_, false) => "| key | value | default | variable | meaning |\n|---|---|---|---|---|",
            (_, true) => "| 键 | 值 | 默认 | 变量 | 含义 |\n|---|---|---|---|---|",
        }
    }
}

/// How the reader begins where a duration is allowed.
const DURATION: &str = "a duration such as \"1m30s\", ";

/// In quotes of the page.
fn quoted(text: &str) -> String {
    text.strip_prefix(DURATION).map_or_else(|| text.replace('"', "`"), |range| format!("a duration, {range}"))
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Scalar,
    List,
    Keyed,
}

fn shape(schema: &Json) -> Shape {
    if schema.get("additionalProperties").is_some_and(Json::is_object) {
        return Shape::Keyed;
    }
    let is_list = |forms: &Vec<Json>| forms.iter().any(|form| form["type"] == "array");
    if schema["anyOf"].as_array().is_some_and(is_list) { Shape::List } else { Shape::Scalar }
}

/// What the reader says may stand at a key.
fn allowed(of: &Table, key: &str, schema: &Json) -> String {
    let nothing = if shape(schema) == Shape::Keyed { json!({ "a": null }) } else { Json::Null };
    let path = of.path.iter().copied().chain(key.split('.'));
    let file = path.rev().fold(nothing, |inner, key| json!({ key: inner }));
    let refused = super::read("scheduler.json", &file.to_string()).expect_err(key);
    let says = refused.split_once("has no value; write ").and_then(|(_, rest)| rest.split_once(", or drop the key"));
    says.unwrap_or_else(|| panic!("{key}: {refused}")).0.to_owned()
}

/// A table of the page, made of a table of the file.
struct Table {
    name: &'static str,
    /// Where its keys stand in a file.
    path: &'static [&'static str],
}

const TABLES: [Table; 6] = [
    Table { name: "scheduler", path: &[] },
    Table { name: "backend", path: &[] },
    Table { name: "logging", path: &[] },
    Table { name: "daemon", path: &[] },
    Table { name: "tasks", path: &["tasks", "report"] },
    Table { name: "retry", path: &["tasks", "report", "retry"] },
];

/// The keys of a table, and the schema of each. A table in it is its keys.
fn keys(of: &Table) -> Vec<(String, Json)> {
    let schema = schema();
    let task = "/properties/tasks/additionalProperties/properties";
    let object = |pointer: &str| schema.pointer(pointer).and_then(Json::as_object).expect(pointer).clone();
    let in_table = |table: &str, keys: serde_json::Map<String, Json>| {
        keys.into_iter().map(|(key, schema)| (format!("{table}.{key}"), schema)).collect::<Vec<_>>()
    };
    match of.name {
        "scheduler" => (object("/properties/scheduler/properties").into_iter())
            .flat_map(|(key, schema)| match schema["properties"].as_object() {
                Some(keys) => in_table(&key, keys.clone()),
                None => vec![(key, schema)],
            })
            .collect(),
        // Each kind of store has a table of its own in the schema; the page has one.
        "backend" => {
            let forms = schema["properties"]["backend"]["anyOf"].as_array().expect("the forms of a backend");
            let mut all = serde_json::Map::new();
            for (key, schema) in forms.iter().filter_map(|form| form["properties"].as_object()).flatten() {
                all.entry(key).or_insert_with(|| schema.clone());
            }
            in_table("backend", all)
        }
        "tasks" => object(task).into_iter().collect(),
        "retry" => {
            let parts = schema.pointer(&format!("{task}/retry/anyOf/1/properties")).and_then(Json::as_object);
            parts.expect("the parts of a retry").clone().into_iter().collect()
        }
        table => in_table(table, object(&format!("/properties/{table}/properties"))),
    }
}

#[test]
fn the_page_of_all_keys_is_what_the_code_says() {
    let mut missing = Vec::new();
    for language in ["en", "zh"] {
        let page = Page { is_chinese: language == "zh", used: RefCell::default() };
        let file = format!("docs/{language}/settings.md");
        let kept = text(&file);
        let mut made = kept.clone();
        for table in &TABLES {
            let rows = page.rows(table, &keys(table));
            let start = format!("<!-- made: {} -->\n", table.name);
            let (before, rest) = made.split_once(&start).expect("the place of a table");
            let (_, after) = rest.split_once("<!-- end -->").expect("the end of a table");
            made = format!("{before}{start}\n{}\n{}\n\n<!-- end -->{after}", page.head(table), rows.join("\n"));
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(root().join(&file), &made).expect("it can be written");
        } else if kept != made {
            missing.push(file);
        }
        let unused: Vec<&str> = (CHINESE.iter().map(|(english, _)| *english))
            .filter(|english| page.is_chinese && !page.used.borrow().contains(*english))
            .collect();
        assert!(unused.is_empty(), "sentences that are said no more: {unused:#?}");
    }
    assert!(missing.is_empty(), "write anew with BLESS=1: {missing:?}");
}
