//! [`Metrics`]: the metrics of the host, in Prometheus' text format.

use std::collections::BTreeMap;

use super::client::Client;

/// All samples, by their name and labels in the form of the text format.
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads `/metrics`, every line of which must be a sample or a comment.
    pub(crate) async fn read(admin: &mut Client) -> Self {
        let answer = admin.get("/metrics").await;
        assert_eq!(answer.status, 200);
        let media_type = answer.header("content-type").unwrap_or_default();
        assert!(media_type.starts_with("text/plain; version=0.0.4"));
        let text = answer.text();
        let samples = text.lines().filter(|line| !line.starts_with("# "));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(
            samples
                .map(|line| sample(line).unwrap_or_else(|| panic!("a sample: {line}")))
                .collect(),
        )
    }

    /// Returns the value of a sample, or 0 if it does not exist.
    pub(crate) fn value(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Returns the sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let prefix = format!("{name}{{");
        let of_name = |found: &str| found == name || found.starts_with(&prefix);
        let samples = self.0.iter().filter(|(found, _)| of_name(found));
        samples.map(|(_, value)| value).sum()
    }

    /// Returns whether there is any sample of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        let prefix = format!("{name}{{");
        let mut names = self.0.keys();
        names.any(|found| found == name || found.starts_with(&prefix))
    }

    /// Returns how many requests of any kind had this outcome.
    pub(crate) fn requests(&self, outcome: &str) -> f64 {
        let of_kind = |kind| self.requests_of(kind, outcome);
        ["push", "read", "page"].into_iter().map(of_kind).sum()
    }

    /// Returns how many requests of this kind had this outcome.
    pub(crate) fn requests_of(&self, kind: &str, outcome: &str) -> f64 {
        self.value(&format!(
            "batchtask_requests_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}"
        ))
    }
}
