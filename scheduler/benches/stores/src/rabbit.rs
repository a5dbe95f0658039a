//! Bare messages in RabbitMQ: published into a quorum queue, confirmed, delivered and acknowledged. No row, no lease, no history.

use std::time::Instant;

use futures_lite::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::Failure;
use crate::life::{BATCH, Life};

/// A message that outlives the server's process.
const PERSISTENT: u8 = 2;

/// The whole life of `runs` messages, `together` of them at once.
///
/// # Errors
/// The server refuses.
pub async fn life(url: &str, runs: u32, together: usize) -> Result<Life, Failure> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("bare".into(), durable, arguments).await?;
    let began = Instant::now();
    let mut left = usize::try_from(runs)?;
    while left > 0 {
        let count = left.min(together);
        left -= count;
        let mut confirms = Vec::with_capacity(count);
        for _ in 0..count {
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let options = BasicPublishOptions::default();
            confirms.push(channel.basic_publish("".into(), "bare".into(), options, b"{}", properties).await?);
        }
        for confirm in confirms {
            confirm.await?;
        }
    }
    let enqueued = began.elapsed();
    let began = Instant::now();
    drain(&channel, usize::try_from(runs)?, together).await?;
    let drained = began.elapsed();
    channel.queue_delete("bare".into(), QueueDeleteOptions::default()).await?;
    Ok(Life::in_two_parts(runs, enqueued, drained))
}

async fn drain(channel: &Channel, runs: usize, together: usize) -> Result<(), Failure> {
    channel.basic_qos(u16::try_from(BATCH)?, BasicQosOptions::default()).await?;
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel.basic_consume("bare".into(), "".into(), options, none).await?;
    for number in 1..=runs {
        let delivery = consumer.next().await.ok_or("the queue ends")??;
        if number % together == 0 || number == runs {
            delivery.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}
