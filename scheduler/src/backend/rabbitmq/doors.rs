//! Messages between nodes, read as they are there: for fuzz targets, which come by `test_util::doors`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::message::{Asked, Claimed, ReadImage, Record, Reply, Request, Said, Told};
use crate::backend::memory::replica::{At, Call, Question, Replica};

/// Messages, a line each. Calls and questions are made on one store, one after another; of the others it is seen that they can be
/// read or are refused.
///
/// # Panics
/// If what becomes of the store's image is another store.
pub fn messages(lines: &str) {
    let mut replica = Replica::new();
    let mut last = At { now: symphra_scheduler_core::Timestamp::from_millis(0), passed_ns: 0 };
    for line in lines.lines() {
        if let Some((at, call)) = read::<(At, Call)>(line) {
            // Of an answer it is known that it can be sent.
            written(&replica.call(&call, at));
            last = at;
        } else if let Some(question) = read::<Question>(line) {
            written(&replica.ask(&question, last));
        } else if let Some(record) = read::<Record>(line) {
            record.calls.into_iter().for_each(|(at, call)| drop(replica.call(&call, at)));
        } else {
            let of_queue =
                (read::<ReadImage>(line).is_some(), read::<Claimed>(line).is_some(), read::<Said>(line).is_some());
            let told = (read::<Reply>(line).is_some(), read::<Told>(line).is_some());
            drop((of_queue, told, read::<Asked<Request>>(line)));
        }
    }
    let image = replica.image().iter().map(written).collect::<Vec<_>>();
    let parts = image.iter().map(|part| serde_json::from_str(part).expect("what is written is read"));
    let again = Replica::of_image(parts.collect()).image();
    assert_eq!(again.iter().map(written).collect::<Vec<_>>(), image, "another store becomes of its image");
}

fn read<T: DeserializeOwned>(line: &str) -> Option<T> {
    serde_json::from_str(line).ok()
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what travels is plain values")
}
