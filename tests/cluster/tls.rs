//! Connections by TLS: to a server that shows a certificate of an authority which the node trusts, and to no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use symphra_scheduler_tests::services::{
    Postgres, RabbitMq, Redis, free_port, give_to_nobody, has_postgres, has_rabbitmq, has_redis,
};

use crate::rig::{Store, now};

/// Files of an authority, and of what it has signed for this host.
struct Signed {
    folder: tempfile::TempDir,
}

impl Signed {
    fn new() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

        let folder = tempfile::Builder::new().prefix("symphra-tls-").tempdir().expect("a folder");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own_key = KeyPair::generate().expect("a key");
        let root = authority.self_signed(&own_key).expect("it signs itself");
        let issuer = Issuer::new(authority, own_key);
        let key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        let server = server.signed_by(&key, &issuer).expect("it is signed");
        let signed = Self { folder };
        for (file, text) in [("root", root.pem()), ("certificate", server.pem()), ("key", key.serialize_pem())] {
            fs::write(signed.path(file), text).expect("a file");
            allow_the_owner_alone(&signed.path(file));
            give_to_nobody(&signed.path(file));
        }
        give_to_nobody(signed.folder.path());
        signed
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(format!("{file}.pem"))
    }

    fn shown(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }
}

/// PostgreSQL takes no key that others may read.
fn allow_the_owner_alone(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is this user's");
}

/// A node that trusts the authority runs what is due, and one that does not says that it does not know the certificate.
fn runs_for_those_who_trust(store: &Store, trusting: impl Fn(&mut Command), other: &Store) {
    let beat = format!("task=beat,every=250,start={}", now());
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-fixture"));
    trusting(&mut command);
    let mut node = store.spawn_by(&mut command, "trusting", &[&beat]);
    node.reads("up");
    store.fires_again();
    node.stop();
    let mut stranger = other.spawn("stranger", &[&beat]);
    assert!(!stranger.ends().success(), "it has believed whoever answered");
    let said = stranger.said().to_lowercase();
    assert!(said.contains("certificate") || said.contains("unknownissuer"), "{said}");
}

#[test]
fn postgres_is_reached_by_tls() {
    if !has_postgres() {
        return;
    }
    let (signed, strange) = (Signed::new(), Signed::new());
    let set = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", signed.shown("certificate")),
        format!("ssl_key_file={}", signed.shown("key")),
    ];
    let server = Postgres::start_with(&set);
    let trusting = |signed: &Signed| {
        let (port, root) = (server.port(), signed.shown("root"));
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=verify-full&sslrootcert={root}");
        Store::on(&url)
    };
    runs_for_those_who_trust(&trusting(&signed), |_| (), &trusting(&strange));
}

#[test]
fn redis_is_reached_by_tls() {
    if !has_redis() {
        return;
    }
    let (signed, port) = (Signed::new(), free_port());
    let server = Redis::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &signed.shown("certificate"),
        "--tls-key-file",
        &signed.shown("key"),
        "--tls-ca-cert-file",
        &signed.shown("root"),
        "--tls-auth-clients",
        "no",
    ]);
    let store = Store::on(&format!("rediss://127.0.0.1:{port}/0"));
    runs_for_those_who_trust(&store, |node| _ = node.env("SSL_CERT_FILE", signed.path("root")), &store);
    drop(server);
}

#[test]
fn rabbitmq_is_reached_by_tls() {
    if !has_rabbitmq() {
        return;
    }
    let (signed, port) = (Signed::new(), free_port());
    let (certificate, key) = (signed.shown("certificate"), signed.shown("key"));
    let server = RabbitMq::start_with(&[
        ("rabbit ssl_listeners", &format!("[{{\"127.0.0.1\",{port}}}]")),
        ("rabbit ssl_options", &format!("[{{certfile,\"{certificate}\"}},{{keyfile,\"{key}\"}}]")),
    ]);
    let store = Store::on(&format!("amqps://127.0.0.1:{port}/%2f"));
    runs_for_those_who_trust(&store, |node| _ = node.env("SSL_CERT_FILE", signed.path("root")), &store);
    drop(server);
}
