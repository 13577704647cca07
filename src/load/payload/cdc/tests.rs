use super::*;
use serde_json::Value;
use std::collections::HashMap;

fn event(source: &mut CdcStream, index: u64) -> (Option<Value>, Value, usize) {
    let (mut body, mut key) = (Vec::new(), Vec::new());
    let number = Number { producer: 0, sequence: index, index, due_us: 1_700_000_000_000_000 };
    let rendered = source.render(number, &mut body, &mut key);
    let value = (!rendered.tombstone).then(|| serde_json::from_slice(&body).expect("valid JSON"));
    (value, serde_json::from_slice(&key).expect("a JSON key"), body.len())
}

/// Replays the events into a table and holds every `before` against it.
#[test]
fn before_is_always_the_former_state() {
    for table in [Table::Videos, Table::Users, Table::Comments] {
        let spec = CdcSpec { snapshot_rows: 200, mix: [0.2, 0.6, 0.2], ..CdcSpec::streaming(table) };
        let mut source = CdcStream::new(&spec, 5, 1, 3).unwrap();
        let mut rows: HashMap<u64, Value> = HashMap::new();
        let mut ops: HashMap<String, u64> = HashMap::new();
        let mut sizes = (usize::MAX, 0);
        let mut deleted = None;
        for index in 0..5000 {
            let (value, key, size) = event(&mut source, index);
            let id = key["id"].as_u64().unwrap();
            let Some(value) = value else {
                assert_eq!(deleted.take(), Some(id), "a tombstone follows its delete");
                *ops.entry("tombstone".into()).or_default() += 1;
                continue;
            };
            assert!(deleted.is_none());
            sizes = (sizes.0.min(size), sizes.1.max(size));
            let op = value["op"].as_str().unwrap();
            *ops.entry(op.into()).or_default() += 1;
            assert_eq!(op == "r", index < 200);
            assert_eq!(value["source"]["table"], table.name());
            assert_eq!(value["before"], rows.get(&id).cloned().unwrap_or(Value::Null), "{op} {id}");
            match &value["after"] {
                Value::Null => {
                    rows.remove(&id);
                    deleted = Some(id);
                }
                after => {
                    assert_eq!(after["id"].as_u64(), Some(id));
                    rows.insert(id, after.clone());
                }
            }
        }
        assert!(sizes.0 >= 880 && sizes.1 <= 10_000 && sizes.1 > 8000, "{table:?} {sizes:?}");
        assert!(ops["u"] > 2000 && ops["d"] == ops["tombstone"] && ops["c"] > 500, "{ops:?}");
        assert!(rows.keys().all(|id| id % 3 == 2), "rows of this producer only");
    }
}
