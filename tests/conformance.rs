//! The conformance suite on every backend: each test is one promise of the contract. Beside it, what single stores do
//! beyond it.

#[path = "../examples/custom_backend/audited.rs"]
mod audited;
#[path = "conformance/flat.rs"]
mod flat;
#[path = "conformance/grouping.rs"]
mod grouping;
#[path = "conformance/jobs.rs"]
mod jobs;
#[path = "conformance/jobs_together.rs"]
mod jobs_together;
#[path = "conformance/outrun.rs"]
mod outrun;
#[path = "conformance/page_costs.rs"]
mod page_costs;
#[path = "conformance/rabbitmq_faults.rs"]
mod rabbitmq_faults;
#[path = "conformance/rabbitmq_jobs.rs"]
mod rabbitmq_jobs;
#[path = "conformance/rabbitmq_only.rs"]
mod rabbitmq_only;
#[path = "conformance/rabbitmq_rights.rs"]
mod rabbitmq_rights;
#[path = "conformance/redis_claims.rs"]
mod redis_claims;
#[path = "conformance/redis_connections.rs"]
mod redis_connections;
#[path = "conformance/redis_job_ends.rs"]
mod redis_job_ends;
#[path = "conformance/redis_jobs.rs"]
mod redis_jobs;
#[path = "conformance/redis_losses.rs"]
mod redis_losses;
#[path = "conformance/redis_only.rs"]
mod redis_only;
#[path = "conformance/redis_servers.rs"]
mod redis_servers;
#[path = "conformance/unclaimed.rs"]
mod unclaimed;

mod memory {
    use symphra_scheduler::{MemoryBackend, conformance_tests};

    async fn empty_store() -> MemoryBackend {
        MemoryBackend::new()
    }

    conformance_tests!(empty_store);

    #[test]
    fn its_capabilities_are_pinned() {
        use symphra_scheduler::backend::{Backend, Capabilities};
        let backend = MemoryBackend::new();
        assert_eq!((backend.name(), backend.capabilities()), ("memory", Capabilities::volatile().with_jobs()));
    }
}

/// The example of a backend that a program brings itself.
mod custom {
    use symphra_scheduler::{MemoryBackend, conformance_tests};

    use super::audited::Audited;

    async fn empty_store() -> Audited<MemoryBackend> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        Audited::new(MemoryBackend::new(), file.path()).await.expect("it can be written to")
    }

    conformance_tests!(empty_store);
}

mod sqlite {
    use symphra_scheduler::{SqliteBackend, conformance_tests};

    /// A file of its own for each test.
    async fn empty_store() -> SqliteBackend {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let url = format!("sqlite://{}/store.db", folder.display());
        SqliteBackend::options().namespace("conformance").connect(&url).await.expect("it opens")
    }

    conformance_tests!(empty_store);

    #[tokio::test]
    async fn its_capabilities_are_pinned() {
        use symphra_scheduler::backend::{Backend, Capabilities};
        let backend = empty_store().await;
        assert_eq!((backend.name(), backend.capabilities()), ("sqlite", Capabilities::durable().with_jobs()));
    }
}

mod postgres {
    use symphra_scheduler::{PostgresBackend, conformance_tests};
    use symphra_scheduler_tests::services::{has_postgres, postgres_url};

    /// A schema of its own for each test.
    async fn empty_store() -> PostgresBackend {
        let schema = format!("conformance_{:x}", fastrand::u64(..));
        let options = PostgresBackend::options().schema(schema).namespace("conformance").max_connections(5);
        options.connect(postgres_url()).await.expect("it opens")
    }

    conformance_tests!(empty_store, only_if = has_postgres);

    #[tokio::test]
    async fn its_capabilities_are_pinned() {
        use symphra_scheduler::backend::{Backend, Capabilities};
        if has_postgres() {
            let backend = empty_store().await;
            assert_eq!((backend.name(), backend.capabilities()), ("postgres", Capabilities::durable().with_jobs()));
        }
    }
}

mod redis {
    use symphra_scheduler::{RedisBackend, conformance_tests};
    use symphra_scheduler_tests::services::{has_redis, redis_namespace, redis_url};

    /// A namespace of its own for each test.
    async fn empty_store() -> RedisBackend {
        RedisBackend::options().namespace(redis_namespace()).connect(redis_url()).await.expect("it opens")
    }

    conformance_tests!(empty_store, only_if = has_redis);

    #[tokio::test]
    async fn its_capabilities_are_pinned() {
        use symphra_scheduler::backend::{Backend, Capabilities};
        if has_redis() {
            let backend = empty_store().await;
            assert_eq!((backend.name(), backend.capabilities()), ("redis", Capabilities::durable().with_jobs()));
        }
    }
}

mod rabbitmq {
    use symphra_scheduler::{RabbitMqBackend, conformance_tests};
    use symphra_scheduler_tests::services::{has_rabbitmq, rabbitmq_url, redis_namespace};

    /// A namespace of its own for each test.
    async fn empty_store() -> RabbitMqBackend {
        RabbitMqBackend::options().namespace(redis_namespace()).connect(rabbitmq_url()).await.expect("it opens")
    }

    conformance_tests!(empty_store, only_if = has_rabbitmq);

    #[tokio::test]
    async fn its_capabilities_are_pinned() {
        use symphra_scheduler::backend::{Backend, Capabilities};
        if has_rabbitmq() {
            let backend = empty_store().await;
            assert_eq!((backend.name(), backend.capabilities()), ("rabbitmq", Capabilities::durable().with_jobs()));
        }
    }
}
