//! Java property files.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Settings of a Kafka process, written as a Java property file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KafkaProperties(BTreeMap<String, String>);

impl KafkaProperties {
    /// Sets a property, replacing an earlier value.
    pub(super) fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    /// Sets all of `others`.
    pub(super) fn extend(&mut self, others: &BTreeMap<String, String>) -> &mut Self {
        self.0.extend(others.clone());
        self
    }

    /// The settings in order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a property.
    #[cfg(test)]
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The text of the file, with everything escaped that `java.util.Properties` treats specially.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            escape(name, true, &mut text);
            text.push('=');
            escape(value, false, &mut text);
            text.push('\n');
        }
        text
    }
}

fn escape(text: &str, is_name: bool, out: &mut String) {
    for (index, unit) in text.encode_utf16().enumerate() {
        match char::from_u32(u32::from(unit)) {
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(' ') if is_name || index == 0 => out.push_str("\\ "),
            Some(c @ ('=' | ':' | '#' | '!')) if is_name => {
                out.push('\\');
                out.push(c);
            }
            Some(c @ ' '..='~') => out.push(c),
            // Property files are Latin-1; anything else is written as UTF-16 escapes.
            _ => {
                let _ = write!(out, "\\u{unit:04x}"); // writing to a String does not fail
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KafkaProperties;

    #[test]
    fn special_characters_are_escaped() {
        let mut properties = KafkaProperties::default();
        properties.set("a:b", " C:\\dir\nnext é😀").set("listeners", "A://h:1,B://h:2");
        let expected = "a\\:b=\\ C:\\\\dir\\nnext \\u00e9\\ud83d\\ude00\nlisteners=A://h:1,B://h:2\n";
        assert_eq!(properties.render(), expected);
    }
}
