//! A page in Prometheus's text format.

/// A page in Prometheus's text format.
#[derive(Default)]
pub struct MetricsPage(String);

impl MetricsPage {
    /// What it is, for whoever asks for it.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family of samples; `kind` is `counter`, `gauge` or `histogram`.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> = labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0.push_str(&format!("{name}{labels} {value}\n"));
    }

    /// The samples of a histogram: for each bound, how many were not above it; and how many there are, and their sum.
    pub fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        within: impl Iterator<Item = (f64, u64)>,
        (count, sum): (u64, f64),
    ) {
        let bucket = format!("{name}_bucket");
        let all = within.map(|(bound, count)| (bound.to_string(), count)).chain([("+Inf".to_owned(), count)]);
        for (bound, count) in all {
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.sample(&bucket, &labels, count as f64);
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, count as f64);
    }

    /// The text.
    pub fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_says_stays_on_its_line() {
        let mut page = MetricsPage::default();
        page.sample("x", &[("a", "q\"\\\n")], 0.5);
        page.histogram("h", &[("step", "s")], [(0.5, 1), (1.0, 2)].into_iter(), (3, 9.25));
        let expected = "x{a=\"q\\\"\\\\\\n\"} 0.5\n\
            h_bucket{step=\"s\",le=\"0.5\"} 1\nh_bucket{step=\"s\",le=\"1\"} 2\nh_bucket{step=\"s\",le=\"+Inf\"} 3\n\
            h_sum{step=\"s\"} 9.25\nh_count{step=\"s\"} 3\n";
        assert_eq!(page.text(), expected);
    }
}
