/// The candidate that somebody who wrote `word` most probably meant, if one is close enough.
///
/// Close means at most one edit (insert, delete, replace, swap neighbours) for every three letters of the longer word,
/// case and `-`/`_` aside.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer words are not typos of a name, and the distance is quadratic.
    const LONGEST: usize = 64;
    /// Nobody looks through more names for one that was meant.
    const CANDIDATES: usize = 500;

    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    if word.len() > LONGEST {
        return None;
    }
    let wanted = plain(word);
    candidates
        .into_iter()
        .take(CANDIDATES)
        .filter(|candidate| candidate.len() <= LONGEST)
        .filter_map(|candidate| {
            let offered = plain(candidate);
            let distance = strsim::damerau_levenshtein(&wanted, &offered);
            let longer = wanted.chars().count().max(offered.chars().count());
            (distance <= longer / 3).then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn guesses_typos_and_nothing_else() {
        let verbs = ["produce", "consume", "topic", "wait", "sql"];
        assert_eq!(did_you_mean("prodcue", verbs), Some("produce"));
        assert_eq!(did_you_mean("Produce", verbs), Some("produce"));
        assert_eq!(did_you_mean("topics", verbs), Some("topic"));
        assert_eq!(did_you_mean("wiat", verbs), Some("wait"));
        assert_eq!(did_you_mean("restart", verbs), None);
        assert_eq!(did_you_mean("x", verbs), None);
        assert_eq!(did_you_mean("", verbs), None);
        assert_eq!(did_you_mean("ack-rate", ["ack_rate"]), Some("ack_rate"));
        assert_eq!(did_you_mean(&"p".repeat(100_000), verbs), None);
    }
}
