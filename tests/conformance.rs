//! The conformance suite on every backend: each test is one promise of the contract.

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
        assert_eq!((backend.name(), backend.capabilities()), ("memory", Capabilities::volatile()));
    }
}
