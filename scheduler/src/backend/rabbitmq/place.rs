//! Where a store in RabbitMQ is, what it is made of there, and how it is made.
//!
//! One direct exchange, by which all goes; the state queue, which is all that is kept; and queues that end with the connection
//! of who has them: one of the owner's for calls, and one of each node for answers and news.

use lapin::options::{
    BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

use crate::migrate::Migrate;
use crate::namespace::Namespace;

/// How often the two ends of a connection let the other hear of them: after twice as long without it is given up.
const HEARTBEAT_S: u16 = 10;

/// How long a connection is waited for.
const CONNECT_MS: u64 = 5_000;

/// How many messages the state queue holds that nobody has got: its owner gets all of them, and folds them long before.
const STATE_MAX: i64 = 100_000;

/// How often a message of the state may be delivered. Each owner replaces all of them, so a few are enough; but RabbitMQ 4 drops
/// one after twenty if nothing is said.
const DELIVERIES_MAX: i64 = 1_000_000;

/// How many messages wait for an owner, or for a node: whoever asks knows that an answer may be lost, and asks again.
const WAITING_MAX: i64 = 4_096;

/// How many messages of the state its owner has in hand: more than it lets pile up. Without a limit a quorum queue delivers 2,000.
pub(super) const STATE_IN_HAND: u16 = u16::MAX;

/// How many calls the owner has in hand.
const CALLS_IN_HAND: u16 = 256;

/// The key of calls in the exchange.
pub(super) const CALL: &str = "call";
/// The key of what all nodes are told.
pub(super) const TOLD: &str = "told";
/// The key of what the state queue keeps.
pub(super) const STATE: &str = "state";

/// Where a store is, and the names of what it is made of.
#[derive(Clone)]
pub(super) struct Place {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    prefix: String,
}

impl Place {
    /// What is allowed, in words.
    pub(super) const ALLOWED: &str = "amqp://user:password@host:5672/vhost or amqps://…; the virtual host \"/\" is left out, \
        or written %2f";

    pub(super) fn of(url: &str, certificates: Option<String>, namespace: &Namespace) -> Option<Self> {
        let mut uri: AMQPUri = url.parse().ok()?;
        // `…:5672` and `…:5672/` are meant for the virtual host that every server has; none has an empty name.
        if uri.vhost.is_empty() {
            uri.vhost = "/".into();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        uri.query.connection_timeout.get_or_insert(CONNECT_MS);
        let tls = OwnedTLSConfig { cert_chain: certificates, ..OwnedTLSConfig::default() };
        Some(Self { uri, tls, prefix: format!("symphra.{}", namespace.as_str()) })
    }

    pub(super) async fn connect(&self) -> lapin::Result<Connection> {
        let properties = ConnectionProperties::default().with_connection_name(self.prefix.as_str().into());
        let runtime = lapin::runtime::default_runtime()?;
        Connection::connect_uri_with_config(self.uri.clone(), properties, self.tls.clone(), runtime).await
    }

    pub(super) fn exchange(&self) -> ShortString {
        self.prefix.as_str().into()
    }

    pub(super) fn state(&self) -> ShortString {
        format!("{}.state", self.prefix).into()
    }

    /// Makes, or finds, what outlives all connections.
    pub(super) async fn declare(&self, channel: &Channel, how: Migrate) -> lapin::Result<()> {
        let passive = how == Migrate::Check;
        let exchange = ExchangeDeclareOptions { durable: true, passive, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(self.exchange(), ExchangeKind::Direct, exchange, FieldTable::default()).await?;
        let queue = QueueDeclareOptions { durable: true, passive, ..QueueDeclareOptions::default() };
        let arguments = table([
            ("x-queue-type", AMQPValue::LongString("quorum".into())),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERIES_MAX)),
            ("x-max-length", AMQPValue::LongLongInt(STATE_MAX)),
            ("x-overflow", AMQPValue::LongString("reject-publish".into())),
        ]);
        channel.queue_declare(self.state(), queue, arguments).await?;
        if !passive {
            self.bind(channel, self.state(), STATE).await?;
        }
        Ok(())
    }

    /// A channel whose publishing is confirmed.
    pub(super) async fn confirmed(&self, connection: &Connection) -> lapin::Result<Channel> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    /// Makes the queue of a node's connection, which is bound to its own key and to what all are told.
    pub(super) async fn declare_inbox(&self, channel: &Channel, key: &str) -> lapin::Result<ShortString> {
        let inbox: ShortString = format!("{}.{key}", self.prefix).into();
        self.declare_own(channel, &inbox, "drop-head").await?;
        self.bind(channel, inbox.clone(), key).await?;
        self.bind(channel, inbox.clone(), TOLD).await?;
        Ok(inbox)
    }

    /// Makes the queue in which an owner finds calls.
    pub(super) async fn declare_calls(&self, channel: &Channel, key: &str) -> lapin::Result<ShortString> {
        let calls: ShortString = format!("{}.calls.{key}", self.prefix).into();
        self.declare_own(channel, &calls, "reject-publish").await?;
        channel.basic_qos(CALLS_IN_HAND, BasicQosOptions::default()).await?;
        self.bind(channel, calls.clone(), CALL).await?;
        Ok(calls)
    }

    async fn declare_own(&self, channel: &Channel, name: &ShortString, overflow: &str) -> lapin::Result<()> {
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let arguments = table([
            ("x-max-length", AMQPValue::LongLongInt(WAITING_MAX)),
            ("x-overflow", AMQPValue::LongString(overflow.into())),
        ]);
        channel.queue_declare(name.clone(), options, arguments).await.map(drop)
    }

    async fn bind(&self, channel: &Channel, queue: ShortString, key: &str) -> lapin::Result<()> {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue, self.exchange(), key.into(), options, none).await
    }
}

fn table<const N: usize>(arguments: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        table.insert(key.into(), value);
    }
    table
}
