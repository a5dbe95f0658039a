//! A broker that fails while a program opens its store there: of several programs that ask for the same new queue at once it answers
//! some so.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use symphra_scheduler::RabbitMqBackend;
use symphra_scheduler_tests::services::{has_rabbitmq, rabbitmq_url, redis_namespace};

/// `connection.close` with the code 541, as a frame of AMQP 0-9-1.
const FAULT: &[u8] = b"\x01\x00\x00\x00\x00\x00\x19\x00\x0a\x00\x32\x02\x1d\x0eINTERNAL_ERROR\x00\x00\x00\x00\xce";

/// How `exchange.declare` begins, with which the making of a store does.
const DECLARES: &[u8] = b"\x00\x28\x00\x0a";

/// A wire to the server of `url` that ends the first connections by a fault, and a count of the connections.
fn failing(url: &str, faults: usize) -> (String, Arc<AtomicUsize>) {
    let (before, after) = url.rsplit_once(':').expect("the URL names a port");
    let (port, host) = after.split_once('/').expect("the URL names a virtual host");
    let (server, wire) = (format!("127.0.0.1:{port}"), TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let url = format!("{before}:{}/{host}", wire.local_addr().expect("it is bound").port());
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    thread::spawn(move || {
        for client in wire.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&server).expect("the server is there");
            let is_faulty = count.fetch_add(1, Ordering::SeqCst) < faults;
            let twins = (client.try_clone().expect("a twin"), server.try_clone().expect("a twin"));
            thread::spawn(move || pump(twins.1, twins.0, false));
            thread::spawn(move || pump(client, server, is_faulty));
        }
    });
    (url, made)
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_faulty: bool) {
    let mut some = [0; 16 * 1_024];
    while let Ok(read @ 1..) = from.read(&mut some) {
        let said = &some[..read];
        let passed_on = match is_faulty && said.windows(DECLARES.len()).any(|bytes| bytes == DECLARES) {
            true => from.write_all(FAULT),
            false => to.write_all(said),
        };
        if passed_on.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn faults_of_the_broker_are_outlasted_while_a_store_is_opened() {
    if !has_rabbitmq() {
        return;
    }
    let (url, made) = failing(rabbitmq_url(), 3);
    let opened = RabbitMqBackend::options().namespace(redis_namespace()).connect(&url).await;
    opened.expect("it is opened by a later connection");
    assert!(made.load(Ordering::SeqCst) > 3, "the first of them failed");
}

#[tokio::test]
async fn a_broker_that_goes_on_failing_is_told_of() {
    if !has_rabbitmq() {
        return;
    }
    let (url, _) = failing(rabbitmq_url(), usize::MAX);
    let opened = RabbitMqBackend::options().namespace(redis_namespace()).connect(&url).await;
    let error = format!("{:?}", opened.expect_err("it is not opened"));
    assert!(error.contains("INTERNAL_ERROR"), "{error}");
}
