//! The bits of a batch.

use super::batch_error::BatchError;
use super::codec::Codec;

const CODEC: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const DELETE_HORIZON: i16 = 1 << 6;

/// Which moment the time stamps of a batch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeStampType {
    /// What the producer gave.
    CreateTime,
    /// When the broker appended the batch: one moment for all its records.
    LogAppendTime,
}

/// A batch's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    /// How the records are compressed.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`].
    pub fn codec(self) -> Result<Codec, BatchError> {
        Codec::from_id(self.0 & CODEC).ok_or(BatchError::UnknownCodec(self.0 & CODEC))
    }

    /// Which moment the time stamps are.
    pub fn time_stamp_type(self) -> TimeStampType {
        if self.0 & LOG_APPEND_TIME == 0 { TimeStampType::CreateTime } else { TimeStampType::LogAppendTime }
    }

    /// Whether the records belong to a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL != 0
    }

    /// Whether the one record is a marker, which no reader sees.
    pub fn is_control(self) -> bool {
        self.0 & CONTROL != 0
    }

    /// With another codec.
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Self {
        Self(self.0 & !CODEC | codec.id())
    }

    /// With another kind of time stamps.
    #[must_use]
    pub fn with_time_stamp_type(self, kind: TimeStampType) -> Self {
        self.with(LOG_APPEND_TIME, kind == TimeStampType::LogAppendTime)
    }

    /// With or without the bit of transactions.
    #[must_use]
    pub fn with_transactional(self, transactional: bool) -> Self {
        self.with(TRANSACTIONAL, transactional)
    }

    /// Without the bit that turns the base time stamp into a horizon.
    #[must_use]
    pub fn without_delete_horizon(self) -> Self {
        self.with(DELETE_HORIZON, false)
    }

    fn with(self, bit: i16, set: bool) -> Self {
        Self(if set { self.0 | bit } else { self.0 & !bit })
    }
}
