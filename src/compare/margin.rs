//! Margins: how far two values may lie apart and still count as the same.

use crate::record::{Quantity, Unit};
use serde::Serialize;

/// A margin: a share of the former value or an absolute one, whichever is larger.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Margin {
    /// Share of the former value.
    pub share: f64,
    /// Absolute, in the unit's base.
    pub absolute: f64,
}

impl Margin {
    /// The margin around a value.
    pub fn around(self, value: f64) -> f64 {
        (value.abs() * self.share).max(self.absolute)
    }

    /// The margin in words.
    pub fn describe(self, unit: Unit) -> String {
        if self.share == 0.0 && self.absolute == 0.0 {
            return "none".to_owned();
        }
        if self.absolute == 0.0 {
            return format!("{:.0}%", self.share * 100.0);
        }
        format!("{:.0}% or {}", self.share * 100.0, Quantity::new(self.absolute, unit))
    }
}

/// Metrics and their margins, by the beginning of their names; the first that fits counts.
const MARGINS: &[(&str, Margin)] = &[
    ("acked", Margin { share: 0.05, absolute: 0.0 }),
    ("ready_after", Margin { share: 0.3, absolute: 1.0 }),
    ("read_rate", Margin { share: 0.15, absolute: 0.0 }),
    ("read", Margin { share: 0.05, absolute: 0.0 }),
    ("ack_rate", Margin { share: 0.05, absolute: 0.0 }),
    ("response_latency", Margin { share: 0.25, absolute: 0.005 }),
    ("ack_latency", Margin { share: 0.25, absolute: 0.005 }),
    ("end_to_end_latency", Margin { share: 0.25, absolute: 0.005 }),
    ("schedule_delay", Margin { share: 0.25, absolute: 0.005 }),
    ("statement_latency", Margin { share: 0.25, absolute: 0.005 }),
    ("cdc_latency", Margin { share: 0.25, absolute: 0.25 }),
    ("capture_latency", Margin { share: 0.25, absolute: 0.25 }),
    ("publish_latency", Margin { share: 0.25, absolute: 0.25 }),
    ("commit", Margin { share: 0.05, absolute: 0.0 }),
    ("slot_lag_time", Margin { share: 0.3, absolute: 2.0 }),
    ("slot_idle_time", Margin { share: 0.3, absolute: 2.0 }),
    ("slot_", Margin { share: 1.0, absolute: 16_777_216.0 }),
    ("queue_full_time", Margin { share: 0.25, absolute: 0.5 }),
    ("unavailability", Margin { share: 0.3, absolute: 1.0 }),
    ("recovery_time", Margin { share: 0.3, absolute: 1.0 }),
    ("lag_recovery_time", Margin { share: 0.3, absolute: 2.0 }),
    ("max_lag", Margin { share: 1.0, absolute: 1000.0 }),
    // A drain ends at whatever is below its bound.
    ("lag_after", Margin { share: 1.0, absolute: 1000.0 }),
    ("rebalances", Margin { share: 0.0, absolute: 1.0 }),
    ("data_rate", Margin { share: 0.15, absolute: 0.0 }),
    // A search comes within its own precision.
    ("sustainable_rate", Margin { share: 0.1, absolute: 0.0 }),
    ("drain_rate", Margin { share: 0.15, absolute: 0.0 }),
    ("saved", Margin { share: 0.02, absolute: 0.0 }),
    ("memory", Margin { share: 0.15, absolute: 16_777_216.0 }),
    ("cpu", Margin { share: 0.25, absolute: 0.1 }),
    ("peak memory", Margin { share: 0.15, absolute: 16_777_216.0 }),
    ("peak CPU", Margin { share: 0.25, absolute: 0.1 }),
    ("duplicated", Margin { share: 0.5, absolute: 10.0 }),
    ("redelivered", Margin { share: 0.5, absolute: 10.0 }),
];

/// Ends the name of a metric of a load as fast as it goes.
pub const UNPACED: &str = " (unpaced)";
/// What such a load measures is what a shared machine has to give at that moment: its margins are wider by this factor.
const UNPACED_FACTOR: f64 = 3.0;

/// The margin of a metric. What is not listed has none: a lost message more is a difference.
pub fn margin(metric: &str) -> Margin {
    let name = metric.rsplit(": ").next().unwrap_or(metric);
    let Margin { share, absolute } = MARGINS
        .iter()
        .find(|(start, _)| name.starts_with(start))
        .map_or(Margin { share: 0.0, absolute: 0.0 }, |(_, margin)| *margin);
    Margin { share: if name.ends_with(UNPACED) { share * UNPACED_FACTOR } else { share }, absolute }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::metric::{Better, METRICS};

    #[test]
    fn a_load_as_fast_as_it_goes_has_wider_margins() {
        assert!((margin("load: ack_rate").share - 0.05).abs() < 1e-9);
        assert!((margin("load: ack_rate (unpaced)").share - 0.15).abs() < 1e-9);
        assert_eq!(margin("load → reader: lost"), Margin { share: 0.0, absolute: 0.0 });
    }

    /// Without one, two runs of the same would nearly always be different.
    #[test]
    fn what_is_measured_has_a_margin_and_the_page_names_it() {
        let page = include_str!("../../results/README.md");
        let table =
            page.split_once("| metric | margin |").and_then(|(_, rest)| rest.split_once("\n\n")).expect("a table").0;
        let named: Vec<&str> = table.split('`').skip(1).step_by(2).collect();
        let none = Margin { share: 0.0, absolute: 0.0 };
        for metric in METRICS.iter().filter(|metric| metric.better != Better::Neutral) {
            let (own, counted) = (margin(metric.name), metric.unit == Unit::Count);
            assert!(counted || own != none, "{} has no margin", metric.name);
            assert_eq!(named.contains(&metric.name), own != none, "{}", metric.name);
        }
        assert!(named.iter().all(|name| margin(name) != none), "{named:?}");
    }
}
