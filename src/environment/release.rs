//! Which Kafka a broker runs, as far as that is known.

use std::fmt;

/// A release of Kafka.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// A whole version, such as `3.6.1`.
    Exact(String),
    /// Major and minor number: what the protocol tells.
    Minor(u32, u32),
}

impl Release {
    /// A version as it is written: one of two numbers says nothing about the patch release.
    pub fn read(version: &str) -> Self {
        let numbers: Vec<Option<u32>> = version.split('.').map(|number| number.parse().ok()).collect();
        match numbers[..] {
            [Some(major), Some(minor)] => Self::Minor(major, minor),
            _ => Self::Exact(version.to_owned()),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(version) => f.write_str(version),
            Self::Minor(major, minor) => write!(f, "{major}.{minor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn two_numbers_are_no_whole_version() {
        assert_eq!(Release::read("3.6"), Release::Minor(3, 6));
        assert_eq!(Release::read("3.6.1"), Release::Exact("3.6.1".to_owned()));
        assert_eq!(Release::read("trunk"), Release::Exact("trunk".to_owned()));
    }
}
