//! What happens to a producer or to a member.

use crate::kafka::{AssignmentChange, SendOutcome};
use crate::record::LifeEnd;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FarEvent {
    /// To a producer.
    Producer(ProducerEvent),
    /// To a member.
    Member(MemberEvent),
}

impl FarEvent {
    /// Whether nothing more happens to whom it happened to.
    pub fn is_last(&self) -> bool {
        matches!(
            self,
            Self::Producer(ProducerEvent::Ended { .. } | ProducerEvent::Broke(_))
                | Self::Member(MemberEvent::Left { .. })
        )
    }
}

/// A message that was handed to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedMessage {
    /// The producer's number for it.
    pub sequence: u64,
    /// When it was due, in µs of the run.
    pub due_us: u64,
    /// Bytes of its payload.
    pub bytes: u32,
    /// Whether it only warms up.
    pub warmup: bool,
    /// The client refused it for this reason.
    pub refused: Option<i32>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageOutcome {
    /// The producer's number for it.
    pub sequence: u64,
    /// What became of it.
    pub outcome: SendOutcome,
    /// Where it was written.
    pub partition: i32,
    /// Where it was written; negative where the broker did not say.
    pub offset: i64,
}

/// What a transaction's end did to its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionFate {
    /// Nobody may read them.
    Aborted,
    /// Nobody knows.
    InDoubt,
}

/// Something that happened to a producer. Times are those of the run, in µs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ProducerEvent {
    /// Every sequence below may be on its way from now on.
    Raised(u64),
    /// Messages were handed over at once.
    Handed {
        /// When.
        now_us: u64,
        /// Which.
        messages: Vec<HandedMessage>,
    },
    /// Outcomes arrived at once.
    Outcomes {
        /// When.
        now_us: u64,
        /// Which.
        outcomes: Vec<MessageOutcome>,
    },
    /// The client's queue was full up to now.
    QueueFull {
        /// Until when.
        now_us: u64,
        /// For how long.
        for_us: u64,
        /// How much of that lies within the schedule.
        held_up_us: u64,
    },
    /// A transaction ended other than by its commit.
    Transaction {
        /// Its messages.
        messages: Range<u64>,
        /// What became of them.
        fate: TransactionFate,
    },
    /// A complete transaction waited for its end.
    TransactionWait {
        /// For how long.
        for_us: u64,
        /// How much of that lies within the schedule.
        held_up_us: u64,
    },
    /// How many transactions were committed, were aborted, and of which neither is known.
    Transactions([u64; 3]),
    /// The time for outcomes is over.
    GivenUp {
        /// When.
        now_us: u64,
        /// What was planned and never handed over.
        planned: Vec<HandedMessage>,
        /// What was on its way.
        in_flight: Vec<u64>,
    },
    /// Its thread ended by a defect of the program, at this time: what was on its way has no outcome.
    Broke(u64),
    /// It is over.
    Ended {
        /// When.
        now_us: u64,
        /// Sequences that were used.
        sent: u64,
        /// The longest time by which its thread was late by its own fault.
        longest_pause_us: u64,
        /// How often that was more than 10 ms.
        pauses: u64,
        /// For how long it was ready to run and had no processor.
        waited_us: u64,
        /// How often the wall clock stepped.
        clock_steps: u64,
        /// Why it could not go on.
        fatal: Option<String>,
    },
}

/// The identity of a message that carries this run's nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundIdentity {
    /// Who sent it.
    pub producer: u16,
    /// As which.
    pub sequence: u64,
    /// When it was due, in µs since the epoch.
    pub due_us: i64,
    /// The checksum of its body, as the identity has it.
    pub body_crc: u32,
    /// Whether it only warms up.
    pub warmup: bool,
    /// Whether the body is as its checksum says.
    pub intact: bool,
    /// Whether key and headers are others than it says.
    pub around_another: bool,
}

/// A message as a member was given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMessage {
    /// Where it was read.
    pub partition: i32,
    /// Where it was read.
    pub offset: i64,
    /// The leader epoch in which it was written, where that is known.
    pub epoch: Option<i32>,
    /// Bytes of its payload.
    pub bytes: u32,
    /// How often it is taken in: once, but for the self-check.
    pub times: u8,
    /// Whose it is; nothing where that is no message of this run, and whether that is because its identity is damaged.
    pub identity: Result<FoundIdentity, Damaged>,
}

/// Whether there was an identity that is damaged.
pub type Damaged = bool;

/// Something that happened to a member. Times are those of the run, in µs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MemberEvent {
    /// It was given messages.
    Read {
        /// When.
        now_us: u64,
        /// How many, those that the self-check leaves out included.
        delivered: u64,
        /// Which.
        messages: Vec<SeenMessage>,
    },
    /// The group told what it has.
    Rebalanced {
        /// When.
        now_us: u64,
        /// In this order.
        changes: Vec<AssignmentChange>,
    },
    /// Its client polls and has nothing more to deliver; it stands at these positions.
    Stands {
        /// When.
        now_us: u64,
        /// By partition.
        positions: BTreeMap<i32, i64>,
    },
    /// Its client had been sent back to these positions, and knows it now.
    SentBack(BTreeMap<i32, i64>),
    /// It polls no more.
    Halted(u64),
    /// It polls again.
    GoesOn(u64),
    /// By which name the group knows it.
    Named(String),
    /// Its client reported an error, by Kafka's name.
    Error(String),
    /// It committed, or could not for this reason.
    Committed(Option<String>),
    /// The group did not know it any more, and it asks again.
    Rejoins,
    /// What the other members of a settled group hold that has nothing for it, by their names.
    OthersHold(Vec<(String, BTreeSet<i32>)>),
    /// It cannot go on.
    Failed(String),
    /// It is over.
    Left {
        /// When.
        now_us: u64,
        /// How.
        end: LifeEnd,
    },
}

impl MemberEvent {
    /// When it happened, where that moves the member's place in the log.
    pub(in crate::load) fn at_us(&self) -> Option<u64> {
        match self {
            Self::Read { now_us, .. } | Self::Rebalanced { now_us, .. } | Self::Stands { now_us, .. } => Some(*now_us),
            _ => None,
        }
    }
}
