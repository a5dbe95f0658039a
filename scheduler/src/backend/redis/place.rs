//! Where a store in Redis is: one server, one that Sentinel names, or a Cluster; read from a URL.

use redis::aio::PubSub;
use redis::cluster::ClusterClient;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ErrorKind, RedisResult, TlsMode};
use tokio::sync::Mutex;

use super::link::{CONNECT_MAX, Connection, settings};

/// The port of a server, and of a Sentinel, where none is named.
const SENTINEL_PORT: u16 = 26_379;

/// How often a Cluster is asked again by the connection itself, where it has moved a slot: more is up to who calls.
const REDIRECTIONS: u32 = 3;

/// Where a store is.
pub(super) enum Place {
    One(Box<Client>),
    Sentinel(Box<Mutex<SentinelClient>>),
    Cluster {
        client: Box<ClusterClient>,
        /// Its first nodes, one of which tells what is published.
        nodes: Vec<String>,
    },
}

impl Place {
    /// What is allowed, in words.
    pub(super) const ALLOWED: &str = "redis://user:password@host:6379/0, rediss://…, \
        redis+sentinel://user:password@sentinel1:26379,sentinel2/name/0 or redis+cluster://user:password@host1:6379,host2:6379";

    /// The place that a URL names; nothing if it is none.
    pub(super) fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        if !matches!(base, "redis" | "rediss") {
            return None;
        }
        match kind {
            "" => Client::open(url).ok().map(|client| Self::One(Box::new(client))),
            "sentinel" => Self::sentinel(base, rest),
            "cluster" => Self::cluster(base, rest),
            _ => None,
        }
    }

    fn cluster(base: &str, rest: &str) -> Option<Self> {
        let (login, hosts) = login_and(rest);
        let hosts = hosts.strip_suffix("/0").unwrap_or(hosts).trim_end_matches('/');
        let nodes: Vec<String> = hosts.split(',').map(|host| format!("{base}://{login}{host}")).collect();
        let builder = ClusterClient::builder(nodes.clone()).retries(REDIRECTIONS);
        let builder = builder.connection_timeout(CONNECT_MAX).response_timeout(super::STEP_MAX);
        let client = builder.build().ok()?;
        Some(Self::Cluster { client: Box::new(client), nodes })
    }

    fn sentinel(base: &str, rest: &str) -> Option<Self> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = login_and(rest);
        let (hosts, name) = rest.split_once('/')?;
        let (name, db) = name.split_once('/').unwrap_or((name, "0"));
        if name.is_empty() || hosts.is_empty() {
            return None;
        }
        let sentinels = hosts.split(',').map(sentinel_at).collect::<Option<Vec<_>>>()?;
        let builder = SentinelClientBuilder::new(sentinels, name, SentinelServerType::Master).ok()?;
        let mut builder = builder.set_client_to_redis_db(db.parse().ok()?);
        if base == "rediss" {
            builder =
                builder.set_client_to_redis_tls_mode(TlsMode::Secure).set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        let (user, password) = decoded(login)?;
        if let Some(user) = user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = password {
            builder = builder.set_client_to_redis_password(password);
        }
        for (key, value) in query.split('&').filter(|part| !part.is_empty()).filter_map(|part| part.split_once('=')) {
            builder = match key {
                "sentinel_username" => builder.set_client_to_sentinel_username(decoded(&format!("{value}@"))?.0?),
                "sentinel_password" => builder.set_client_to_sentinel_password(decoded(&format!(":{value}@"))?.1?),
                _ => return None,
            };
        }
        let client = builder.build().ok()?;
        Some(Self::Sentinel(Box::new(Mutex::new(client))))
    }

    /// Whether it asks for TLS.
    pub(super) fn is_encrypted(url: &str) -> bool {
        url.starts_with("rediss")
    }

    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        Ok(match self {
            Self::Cluster { client, .. } => Connection::Cluster(Box::new(client.get_async_connection().await?)),
            one => {
                let client = one.client().await?;
                Connection::One(client.get_multiplexed_async_connection_with_config(&settings()).await?)
            }
        })
    }

    /// A connection that tells what is published.
    pub(super) async fn listen(&self, channel: &str) -> RedisResult<PubSub> {
        let mut listening = match self {
            Self::Cluster { nodes, .. } => first_of(nodes).await?,
            one => one.client().await?.get_async_pubsub().await?,
        };
        listening.subscribe(channel).await?;
        Ok(listening)
    }

    /// The one server, or the one that is the primary by now.
    async fn client(&self) -> RedisResult<Client> {
        match self {
            Self::One(client) => Ok((**client).clone()),
            Self::Sentinel(sentinel) => sentinel.lock().await.async_get_client().await,
            Self::Cluster { .. } => unreachable!("a Cluster has a client of its own"),
        }
    }
}

/// The first of the nodes that answers.
async fn first_of(nodes: &[String]) -> RedisResult<PubSub> {
    let mut failed = (ErrorKind::Client, "a Cluster has no nodes").into();
    for node in nodes {
        match Client::open(node.as_str())?.get_async_pubsub().await {
            Ok(listening) => return Ok(listening),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A user and a password as they are. What stands in a URL is encoded; whoever reads URLs of one server knows how.
fn decoded(login: &str) -> Option<(Option<String>, Option<String>)> {
    let as_one = Client::open(format!("redis://{login}localhost")).ok()?;
    let as_one = as_one.get_connection_info().redis_settings();
    Some((as_one.username().map(str::to_owned), as_one.password().map(str::to_owned)))
}

/// Who logs in, with the `@` behind it, and the rest.
fn login_and(rest: &str) -> (&str, &str) {
    rest.rfind('@').map_or(("", rest), |at| rest.split_at(at + 1))
}

fn sentinel_at(host: &str) -> Option<ConnectionAddr> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') => (name, port.parse().ok()?),
        _ => (host, SENTINEL_PORT),
    };
    (!name.is_empty()).then(|| ConnectionAddr::Tcp(name.trim_matches(['[', ']']).into(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_server_a_sentinel_or_a_cluster() {
        assert!(matches!(Place::of("redis://localhost"), Some(Place::One(_))));
        assert!(matches!(Place::of("rediss://app:hunt%2Fer2@redis.example:6380/3"), Some(Place::One(_))));
        let sentinel = "redis+sentinel://:hunter2@s1:26379,s2,[::1]:26380/main/2?sentinel_password=x";
        assert!(matches!(Place::of(sentinel), Some(Place::Sentinel(_))));
        let Some(Place::Cluster { nodes, .. }) = Place::of("redis+cluster://app:x@n1:7000,n2:7001/0") else {
            panic!("it is a Cluster");
        };
        assert_eq!(nodes, ["redis://app:x@n1:7000", "redis://app:x@n2:7001"]);
        for wrong in [
            "",
            "redis",
            "postgres://localhost",
            "redis+sentinel://s1:26379",
            "redis+other://x",
            "redis+sentinel://s1:x/main",
        ] {
            assert!(Place::of(wrong).is_none(), "{wrong}");
        }
    }
}
