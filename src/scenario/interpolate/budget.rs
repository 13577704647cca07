use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most that one value may take once its references are replaced, in bytes.
pub const MOST_OF_ONE: usize = 1 << 20;
/// Most that all values of a scenario may take together while it is planned, in bytes.
pub const MOST_OF_ALL: usize = 32 << 20;
/// How deep a value may nest once its references are replaced: as deep as a file.
pub const MOST_DEEP: usize = crate::text::MAX_DEPTH;
/// What a value takes in memory beside its text, in bytes.
const NODE: usize = 32;

/// What replacing the references of a scenario may still cost; copies draw on the same account. Bytes stand for time as well: each is
/// written once.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(MOST_OF_ALL)))
    }
}

impl Budget {
    /// Takes so many bytes; `false` where that many are not left, now and from then on.
    pub fn take(&self, bytes: usize) -> bool {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if left.is_err() {
            self.0.store(0, Ordering::Relaxed);
        }
        left.is_ok()
    }

    /// Whether nothing is left.
    pub fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// What a value takes, in bytes, and how deep it nests; counting ends where it is more than one value may take.
pub(super) fn measure(value: &Value) -> (usize, usize) {
    fn walk(value: &Value, size: &mut usize) -> usize {
        *size += NODE;
        if *size > MOST_OF_ONE {
            return 0;
        }
        match value {
            Value::String(text) => {
                *size += text.len();
                0
            }
            Value::Array(items) => 1 + items.iter().map(|item| walk(item, size)).max().unwrap_or(0),
            Value::Object(map) => {
                let each = map.iter().map(|(key, item)| {
                    *size += key.len();
                    walk(item, size)
                });
                1 + each.max().unwrap_or(0)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }
    let mut size = 0;
    let depth = walk(value, &mut size);
    (size, depth)
}

/// What a value takes, in bytes.
pub fn size(value: &Value) -> usize {
    measure(value).0
}
