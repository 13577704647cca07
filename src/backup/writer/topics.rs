//! Which topics are meant.

use super::backup_error::BackupError;
use crate::wire::{WireCluster, topics};
use std::collections::BTreeMap;

/// Finds topics by their names and patterns.
///
/// # Errors
/// One of them does not exist, may not be seen, or fits nothing; or no broker answers.
pub async fn find(
    cluster: &WireCluster,
    wanted: &[String],
) -> Result<BTreeMap<String, topics::DescribedTopic>, BackupError> {
    let (patterns, names): (Vec<&str>, Vec<&str>) =
        wanted.iter().map(String::as_str).partition(|name| name.contains('*'));
    if wanted.is_empty() {
        return Err(BackupError::Request("no topic is named: say which are to be backed up".to_owned()));
    }
    let mut found = BTreeMap::new();
    if !names.is_empty() {
        for (name, topic) in topics::describe(cluster, &names).await? {
            found.insert(name, topic.map_err(|refusal| BackupError::Wire(refusal.into()))?);
        }
    }
    if !patterns.is_empty() {
        let all = topics::list(cluster).await?;
        for pattern in patterns {
            let fits = all.iter().filter(|(name, _)| fits(pattern, name));
            let fitting: Vec<_> = fits.filter(|(_, topic)| !topic.as_ref().is_ok_and(|topic| topic.internal)).collect();
            if fitting.is_empty() {
                return Err(BackupError::Request(format!(
                    "no topic that the principal may see has a name like `{pattern}`"
                )));
            }
            for (name, topic) in fitting {
                let topic = topic.clone().map_err(|refusal| BackupError::Wire(refusal.into()))?;
                found.insert(name.clone(), topic);
            }
        }
    }
    Ok(found)
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_characters() {
        let yes = [("*", ""), ("a*", "ab"), ("*.orders", "eu.orders"), ("a*c*e", "abcde"), ("a", "a"), ("a*a", "aa")];
        assert!(yes.iter().all(|(pattern, name)| fits(pattern, name)));
        let no = [("a", "ab"), ("a*", "b"), ("*a", "ab"), ("a*a", "a"), ("a*c*e", "abde"), ("", "a")];
        assert!(no.iter().all(|(pattern, name)| !fits(pattern, name)));
    }
}
