//! Words that several kinds of work are asked for with.

use crate::backup::Level;
use crate::kafka::unfit_topic_name;
use crate::scenario::units::{Bytes, Length};
use crate::serve::clusters::shown;
use crate::serve::problem::HttpProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest time that may be asked for.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum GroupChoice {
    /// `all` or `none`.
    Word(GroupWord),
    /// These.
    Named(Vec<String>),
}

/// All groups, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupWord {
    /// All.
    All,
    /// None.
    None,
}

/// How closely an archive is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerifyDepth {
    /// The chain of manifests, and that every file is there with its length.
    Quick,
    /// The SHA-256 of every file, and the checksum of every batch.
    #[default]
    Full,
    /// Every record is decoded; counts, gaps and transactions are computed again.
    Deep,
    /// A restored topic is read again through librdkafka, and compared with the archive record by record.
    Target,
}

impl VerifyDepth {
    /// The level of an archive that it is; nothing for a target.
    pub fn level(self) -> Option<Level> {
        match self {
            Self::Quick => Some(Level::Quick),
            Self::Full => Some(Level::Full),
            Self::Deep => Some(Level::Deep),
            Self::Target => None,
        }
    }
}

/// `50MB/s`, in bytes per second.
///
/// # Errors
/// It is no rate, or zero: 400.
pub fn rate(text: &str) -> Result<u64, HttpProblem> {
    let wrong = |reason: String| HttpProblem::bad("bad-value", format!("`rate`: {reason}"));
    let size = text.strip_suffix("/s").ok_or_else(|| wrong("a rate ends in `/s`, such as `50MB/s`".to_owned()))?;
    let Bytes(bytes) = size.parse().map_err(|error| wrong(format!("{error}")))?;
    if bytes == 0 {
        return Err(wrong("a rate is above zero: at 0 bytes per second it would never end".to_owned()));
    }
    Ok(bytes)
}

/// How many replicas each partition gets, where that is asked for.
///
/// # Errors
/// Fewer than one: 400.
pub fn replicas(asked: Option<i16>) -> Result<(), HttpProblem> {
    match asked.filter(|replicas| *replicas < 1) {
        Some(replicas) => Err(HttpProblem::bad("bad-value", format!("`replication` is {replicas}: it is 1 or more"))),
        None => Ok(()),
    }
}

/// A length of time such as `10s`, at most a day.
///
/// # Errors
/// It is none, or longer: 400.
pub fn length(field: &str, text: &str) -> Result<Duration, HttpProblem> {
    let wrong = |reason: String| HttpProblem::bad("bad-value", format!("`{field}`: {reason}"));
    let Length(length) = text.parse().map_err(|error| wrong(format!("{error}")))?;
    if length > LONGEST {
        return Err(wrong("it is a day at most".to_owned()).help("ask again when it is over"));
    }
    Ok(length)
}

/// Topics of a cluster, or patterns of them with `*`.
///
/// # Errors
/// None is named, or one that no topic can be called: 400.
pub fn patterns(topic: Option<&String>, listed: &[String]) -> Result<Vec<String>, HttpProblem> {
    let topics = topics(topic, listed)?;
    if topics.is_empty() || topics.iter().any(String::is_empty) {
        return Err(HttpProblem::bad("no-topics", "no topic is named").help("write `\"topic\": \"orders\"`"));
    }
    let unfit = |topic: &String| Some((topic.clone(), unfit_topic_name(&topic.replace('*', "x"))?));
    match topics.iter().find_map(unfit) {
        Some((topic, why)) => {
            Err(HttpProblem::bad("bad-value", format!("`{}` cannot be a topic: {why}", shown(&topic))))
        }
        None => Ok(topics),
    }
}

/// The topics that `topic` and `topics` name together.
///
/// # Errors
/// Both are there: 400.
pub fn topics(topic: Option<&String>, topics: &[String]) -> Result<Vec<String>, HttpProblem> {
    match topic {
        Some(_) if !topics.is_empty() => {
            let problem = HttpProblem::bad("bad-value", "both `topic` and `topics` are there");
            Err(problem.help("leave one of them out"))
        }
        Some(topic) => Ok(vec![topic.clone()]),
        None => Ok(topics.to_vec()),
    }
}

/// How many partitions are worked on at the same time.
///
/// # Errors
/// It is out of range: 400.
pub fn parallel(asked: Option<u8>) -> Result<Option<usize>, HttpProblem> {
    match asked {
        Some(parallel) if !(1..=64).contains(&parallel) => {
            Err(HttpProblem::bad("bad-value", format!("`parallel` is {parallel}: it is from 1 to 64")))
        }
        asked => Ok(asked.map(usize::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_above_zero_and_says_that_it_is_one() {
        assert_eq!(rate("50MB/s").expect("a rate"), 50_000_000);
        for wrong in ["50MB", "0B/s", "fast/s", ""] {
            assert_eq!(rate(wrong).expect_err(wrong).status, 400);
        }
    }
}
