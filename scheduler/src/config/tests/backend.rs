//! What is said of a store, layer upon layer, and what is said about what does not go together.

use super::{Environment, Error, Origin, loaded, of_variables, of_yaml, start_error, wrong};
use crate::config::backend::{BackendConfig, Chosen, Kind};
use crate::config::{ConfigError, SchedulerConfig};
use crate::{Migrate, Scheduler};

fn of_file_and<const N: usize>(text: &str, variables: [(&str, &str); N]) -> Result<SchedulerConfig, ConfigError> {
    loaded("scheduler.yaml", text, variables)
}

/// What a backend that was read says, if this build can have one.
fn chosen(config: &SchedulerConfig) -> (Kind, String) {
    let backend = &config.backend;
    let url = match backend.chosen() {
        Chosen::Memory | Chosen::Registered(_) => String::new(),
        Chosen::Sqlite { url } | Chosen::Postgres { url } | Chosen::Redis { url } | Chosen::RabbitMq { url } => {
            url.to_owned()
        }
    };
    (backend.kind(), url)
}

#[test]
#[cfg(not(feature = "rabbitmq"))]
fn a_backend_that_is_left_out_is_one_problem_that_names_its_feature() {
    let text = "backend:\n  type: rabbitmq\n  url: amqp://app:hunter2@localhost/0\n  max_connections: 50\n";
    let found = wrong(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].1.as_str()), (2, "backend.type"));
    assert!(found[0].2.contains("needs the feature `rabbitmq`") && found[0].2.contains("memory"), "{found:?}");
    assert!(wrong("backend: amqps\n")[0].2.contains("feature `rabbitmq`"));
    let found = wrong("backend: amqp://app:hunter2@mq\n");
    assert!(found[0].2.contains("\"amqp://…\"") && found[0].2.contains("feature `rabbitmq`"), "{found:?}");
}

#[test]
#[cfg(feature = "rabbitmq")]
fn a_store_in_rabbitmq_is_named_by_its_type_and_its_url_or_by_the_url_alone() {
    for text in [
        "backend:\n  type: rabbitmq\n  url: amqp://app:hunter2@mq:5672/jobs\n  max_connections: 50\n",
        "backend: amqp://app:hunter2@mq:5672/jobs",
        "backend: { url: 'amqp://app:hunter2@mq:5672/jobs', namespace: pay, migrate: check }",
    ] {
        let config = of_yaml(text);
        assert_eq!(chosen(&config), (Kind::RabbitMq, "amqp://app:hunter2@mq:5672/jobs".to_owned()), "{text}");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
    assert_eq!(chosen(&of_yaml("backend: amqps://mq")).0, Kind::RabbitMq);
    for (text, part) in [
        ("backend: rabbitmq", "backend.url is missing: the rabbitmq backend needs amqp://"),
        ("backend: { url: 'amqp://h', schema: jobs }", "backend.schema means nothing to the rabbitmq backend"),
        ("backend: { url: 'amqp://h', notify: false }", "backend.notify means nothing to the rabbitmq backend"),
        ("backend: { type: rabbitmq, url: 'sqlite://a' }", "a URL that begins with amqp://"),
    ] {
        let found = wrong(text);
        assert!(found.len() == 1 && found[0].2.contains(part), "{text}: {found:?}");
    }
}

#[test]
fn what_is_no_backend_and_what_means_nothing_to_one_is_told() {
    assert!(wrong("backend: mysql\n")[0].2.contains("backend = \"mysql\" is not possible: it is no backend"));
    assert!(wrong("backend: { type: sqllite }\n")[0].2.contains("did you mean sqlite?"));
    assert!(wrong("backend: { type: memory, url: 'sqlite://x' }\n")[0].2.contains("connects to nothing"));
    assert!(wrong("backend: { max_connections: 5 }\n")[0].2.contains("means nothing to the memory backend"));
    for memory in ["backend: memory", "backend: { type: memory }", "backend: {}", "backend:"] {
        assert_eq!(chosen(&of_yaml(memory)).0, Kind::Memory, "{memory}");
    }
}

#[test]
#[cfg(not(feature = "sqlite"))]
fn a_backend_that_this_program_is_built_without_names_its_feature() {
    let found = wrong("backend: sqlite\n");
    assert!(found[0].2.contains("the feature `sqlite`, without which this program is built"), "{found:?}");
    let said = start_error(SchedulerConfig::new().backend(BackendConfig::sqlite())).to_string();
    assert!(said.contains("the feature `sqlite`"), "{said}");
}

#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod durable {
    use super::*;

    const POSTGRES: &str = "postgres://app:hunter2@db/app";

    #[test]
    fn a_type_a_url_or_both_name_a_store() {
        for (text, kind, url) in [
            ("backend: sqlite", Kind::Sqlite, "sqlite://scheduler.db"),
            ("backend: { type: sqlite }", Kind::Sqlite, "sqlite://scheduler.db"),
            ("backend: sqlite://a.db", Kind::Sqlite, "sqlite://a.db"),
            ("backend: { url: 'sqlite://a.db?synchronous=normal' }", Kind::Sqlite, "sqlite://a.db?synchronous=normal"),
            ("backend: { type: postgres, url: 'postgres://app:hunter2@db/app' }", Kind::Postgres, POSTGRES),
            ("backend: postgresql://db/app", Kind::Postgres, "postgresql://db/app"),
        ] {
            assert_eq!(chosen(&of_yaml(text)), (kind, url.to_owned()), "{text}");
        }
        let toml = loaded("scheduler.toml", "[backend]\ntype = \"sqlite\"\nurl = \"sqlite://a.db\"\n", []);
        assert_eq!(chosen(&toml.expect("right")), (Kind::Sqlite, "sqlite://a.db".to_owned()));
        let json = loaded("scheduler.json", "{ \"backend\": \"sqlite\" }", []).expect("right");
        assert_eq!(chosen(&json).0, Kind::Sqlite);
        let replaced = of_file_and("backend: { url: '${DB}' }", [("DB", POSTGRES)]).expect("right");
        assert_eq!(chosen(&replaced), (Kind::Postgres, POSTGRES.to_owned()));
    }

    #[test]
    fn every_option_is_read_from_a_file_and_from_the_environment() {
        let file = of_yaml(
            "backend: { url: 'postgres://db/app', max_connections: 50, namespace: pay, schema: jobs, migrate: check, \
             notify: false }",
        );
        let variables = of_variables([
            ("SCHEDULER_BACKEND_TYPE", "postgres"),
            ("SCHEDULER_BACKEND_URL", "postgres://db/app"),
            ("SCHEDULER_BACKEND_MAX_CONNECTIONS", "50"),
            ("SCHEDULER_BACKEND_NAMESPACE", "pay"),
            ("SCHEDULER_BACKEND_SCHEMA", "jobs"),
            ("SCHEDULER_BACKEND_MIGRATE", "check"),
            ("SCHEDULER_BACKEND_NOTIFY", "false"),
        ]);
        for config in [file, variables.expect("right")] {
            let backend = &config.backend;
            assert_eq!(chosen(&config), (Kind::Postgres, "postgres://db/app".to_owned()));
            assert_eq!((backend.connections_max(), backend.namespace_name()), (Some(50), Some("pay")));
            assert_eq!((backend.schema_name(), backend.migration()), (Some("jobs"), Migrate::Check));
            assert!(!backend.notifies());
        }
    }

    #[test]
    fn what_does_not_go_together_is_judged_once_the_layers_are_one() {
        let file = "backend:\n  type: sqlite\n  url: sqlite://a.db\n";
        let both = [("SCHEDULER_BACKEND_TYPE", "postgres"), ("SCHEDULER_BACKEND_URL", POSTGRES)];
        let config = of_file_and(file, both).expect("the environment rules");
        assert_eq!(chosen(&config), (Kind::Postgres, POSTGRES.to_owned()));
        assert_eq!(
            chosen(&of_file_and(file, [("SCHEDULER_BACKEND_URL", "sqlite://b.db")]).expect("right")).1,
            "sqlite://b.db"
        );
        let memory = [("SCHEDULER_BACKEND_TYPE", "memory")];
        assert!(of_file_and("backend: rabbitmq", memory).is_ok(), "the type that is not there is ruled over");

        // A layer that asks for another store takes nothing of that store's address.
        let error = of_file_and(file, [("SCHEDULER_BACKEND_TYPE", "postgres")]).expect_err("no address");
        let [problem] = error.problems() else { panic!("{error}") };
        assert_eq!((problem.variable(), problem.key()), (Some("SCHEDULER_BACKEND_TYPE"), "backend.url"));
        assert!(problem.message().contains("backend.url is missing"), "{error}");
        let config = of_file_and(file, [("SCHEDULER_BACKEND_URL", POSTGRES)]).expect("a URL says its kind");
        assert_eq!(chosen(&config), (Kind::Postgres, POSTGRES.to_owned()));

        let both = [("SCHEDULER_BACKEND_TYPE", "sqlite"), ("SCHEDULER_BACKEND_URL", POSTGRES)];
        let error = of_file_and("", both).expect_err("a contradiction");
        let [problem] = error.problems() else { panic!("{error}") };
        assert_eq!((problem.variable(), problem.key()), (Some("SCHEDULER_BACKEND_URL"), "backend.url"));
        let says = "\"postgres://…\" contradicts backend.type = \"sqlite\" (SCHEDULER_BACKEND_TYPE)";
        assert!(problem.message().contains(says) && !error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_at_once() {
        let found = wrong(
            "backend:\n  type: sqlite\n  url: postgres://db/app\n  schema: jobs\n  notify: false\nmax_workers: 0\n",
        );
        let expected = [
            (6, "max_workers", "allowed is a whole number"),
            (3, "backend.url", "contradicts backend.type"),
            (4, "backend.schema", "means nothing to the sqlite backend"),
            (5, "backend.notify", "means nothing to the sqlite backend"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (line, key, part) in expected {
            assert!(
                found.iter().any(|(l, k, says)| (*l, k.as_str()) == (line, key) && says.contains(part)),
                "{found:?}"
            );
        }
        for (text, part) in [
            ("backend: postgres", "backend.url is missing"),
            ("backend: { url: 'postgres://db/app', max_connections: 1 }", "allowed is 2 or more"),
            ("backend: { type: sqlite, max_connections: 0 }", "allowed is a whole number, 1 to"),
            ("backend: { type: sqlite, namespace: Pay-Roll }", "1 to 32 of a-z, 0-9 and _, the first a letter"),
            ("backend: { type: sqlite, migrate: never }", "allowed is auto or check"),
            ("backend: { type: sqlite, ulr: 'sqlite://a.db' }", "did you mean url?"),
            ("backend: { type: sqlite, options: {} }", "without `options`"),
            ("backend: { url: scheduler.db }", "sqlite://scheduler.db"),
            ("backend: [sqlite]", "allowed is memory, sqlite, postgres, redis or rabbitmq"),
        ] {
            let found = wrong(text);
            assert!(found.len() == 1 && found[0].2.contains(part), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_code_says_rules_and_its_mistakes_are_told_at_start() {
        let read = of_yaml("backend: { type: sqlite, namespace: pay }");
        let code = SchedulerConfig::new().backend(BackendConfig::of_url("sqlite://b.db")).over(read);
        assert_eq!(chosen(&code), (Kind::Sqlite, "sqlite://b.db".to_owned()));
        assert_eq!(code.backend.namespace_name(), Some("pay"));
        for (backend, part) in [
            (BackendConfig::postgres(), "backend.url is missing"),
            (BackendConfig::of_url("mysql://app:hunter2@db"), "\"mysql://…\" names no backend"),
            (BackendConfig::of_url("hunter2"), "\"…\" names no backend"),
            (BackendConfig::sqlite().max_connections(0_u32), "allowed is 1 or more"),
            (BackendConfig::sqlite().namespace("Pay"), "backend.namespace = \"Pay\""),
            (BackendConfig::memory().url(POSTGRES), "connects to nothing"),
        ] {
            let error = start_error(SchedulerConfig::new().backend(backend));
            assert!(error.is_config() && error.to_string().contains(part), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error}");
        }
        let wrong = SchedulerConfig::new().backend(BackendConfig::postgres());
        let set = Scheduler::empty().register(super::super::tick()).backend(crate::MemoryBackend::new()).config(wrong);
        assert!(set.checked().is_ok(), "a backend that is set needs no settings");
    }

    #[test]
    fn a_password_of_a_store_is_never_shown() {
        let config = of_yaml("backend: { url: 'postgres://app:hunter2@db/app?sslpassword=hunter2' }");
        let shown = format!("{config:?} {:?}", Scheduler::empty().config(config.clone()));
        assert!(shown.contains("postgres://app:***@db/app") && !shown.contains("hunter2"), "{shown}");
        let twice = Origin::Environment.read(&Environment::from([
            ("SCHEDULER_BACKEND_TYPE", "sqlite"),
            ("SCHEDULER_BACKEND_URL", "postgres://app:hunter2@db/app"),
        ]));
        let error = Error::from(twice.expect_err("a contradiction"));
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
#[cfg(feature = "redis")]
fn a_store_in_redis_is_named_by_its_type_and_its_url_or_by_the_url_alone() {
    for text in [
        "backend:\n  type: redis\n  url: redis://localhost:6379/0\n  max_connections: 50\n",
        "backend: redis://localhost:6379/0",
        "backend: { url: 'redis://localhost:6379/0', namespace: pay, migrate: check }",
    ] {
        assert_eq!(chosen(&of_yaml(text)), (Kind::Redis, "redis://localhost:6379/0".to_owned()), "{text}");
    }
    for scheme in ["rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"] {
        let text = format!("backend: {scheme}://:hunter2@a:1,b:2/main");
        let config = of_yaml(&text);
        assert_eq!(chosen(&config).0, Kind::Redis, "{text}");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
    for (text, part) in [
        ("backend: redis", "backend.url is missing: the redis backend needs redis://"),
        ("backend: { url: 'redis://h', schema: jobs }", "backend.schema means nothing to the redis backend"),
        ("backend: { url: 'redis://h', notify: false }", "backend.notify means nothing to the redis backend"),
        ("backend: { type: redis, url: 'sqlite://a' }", "a URL that begins with redis://"),
    ] {
        let found = wrong(text);
        assert!(found.len() == 1 && found[0].2.contains(part), "{text}: {found:?}");
    }
}
