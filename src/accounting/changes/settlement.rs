//! What one delivery of database changes was settled from, so that it can be settled again.

use super::not_stored::NotStored;
use super::packed_rows::PackedRows;
use super::{Reconciliation, Tally};
use crate::accounting::Class;
use serde::{Deserialize, Serialize};

/// What one delivery of database changes was settled from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeSettlement {
    /// The step that asked for it; empty where the guarantee did.
    pub step: String,
    /// Ids of the steps that changed rows.
    pub from: Vec<String>,
    /// Ids of the reading steps.
    pub to: Vec<String>,
    /// What was not known of senders and readers, in words.
    pub missing: Option<String>,
    /// What the connectors said of themselves, where changes had not arrived.
    pub connectors: Option<String>,
    /// What it follows from.
    pub basis: ChangeBasis,
    /// The checks that follow from it.
    pub checks: Vec<FigureCheck>,
}

/// What the account of a delivery of changes follows from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeBasis {
    /// All rows, committed and read.
    Rows(PackedRows),
    /// All rows, committed and in the table into which they come.
    Table(PackedRows),
    /// The sums alone.
    Sums {
        /// Why there is no more.
        because: NotStored,
        /// The account.
        sums: Box<Reconciliation>,
    },
}

impl ChangeBasis {
    /// The account that follows.
    ///
    /// # Errors
    /// Why the rows cannot be read, in words.
    pub fn reconciliation(&self) -> Result<Reconciliation, String> {
        match self {
            Self::Rows(rows) => rows.reconciliation(),
            Self::Table(rows) => rows.table_reconciliation(),
            Self::Sums { sums, .. } => Ok((**sums).clone()),
        }
    }

    /// Why its rows are not stored, where they are not.
    pub fn not_stored(&self) -> Option<NotStored> {
        match self {
            Self::Rows(_) | Self::Table(_) => None,
            Self::Sums { because, .. } => Some(*because),
        }
    }

    /// How many bytes its rows take.
    pub(in crate::accounting) fn size(&self) -> usize {
        match self {
            Self::Rows(rows) | Self::Table(rows) => rows.size(),
            Self::Sums { .. } => 0,
        }
    }

    /// How many bytes of rows are gone through when they are settled again.
    pub(in crate::accounting) fn text(&self) -> u64 {
        match self {
            Self::Rows(rows) | Self::Table(rows) => rows.text(),
            Self::Sums { .. } => 0,
        }
    }
}

/// What a check of a delivery of changes is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// A class of the ledger.
    Class(Class),
    /// A figure of the account of changes.
    Tally(Tally),
}

impl Figure {
    /// The class that it counts, if it is one.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Class(class) => Some(*class),
            Self::Tally(_) => None,
        }
    }
}

/// A check of the run's record that is about a figure of this delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FigureCheck {
    /// Its subject.
    pub subject: String,
    /// The line of the scenario that states it, where there is one.
    pub at: Option<(usize, usize)>,
    /// The figure.
    pub figure: Figure,
}
