//! The first offenders of a class, for whoever reads a failed check.

use crate::accounting::Class;
use crate::judge::delivery::describe;
use crate::judge::terms;
use crate::record::DeliveryRecord;

/// How many a failed check prints; the record keeps more.
const PRINTED: usize = 5;

/// The first offenders of a class, one a line.
pub(crate) fn samples(record: &DeliveryRecord, class: Class) -> Vec<String> {
    if record.changes.is_some() {
        return terms::samples(record, class, PRINTED);
    }
    record.ledger.samples(class).iter().take(PRINTED).map(|sample| describe(class, sample)).collect()
}
