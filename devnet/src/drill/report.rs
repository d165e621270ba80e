//! What a drill found.

use std::time::Duration;

use serde::Serialize;

use super::{Drill, Scale};
use crate::table::markdown;

/// Collects what a drill finds, while it goes on.
#[derive(Debug)]
pub struct Findings {
    drill: String,
    say: fn(&str),
    list: Vec<Finding>,
}

/// Something that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// What it was.
    pub found: String,
}

/// What a drill came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The drill.
    pub drill: String,
    /// What it shows.
    pub claim: &'static str,
    /// At which scale it ran.
    pub scale: Scale,
    /// How long it took.
    pub seconds: f64,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What did not hold.
    pub failure: Option<String>,
}

impl Findings {
    /// None yet.
    pub fn new(drill: String, say: fn(&str)) -> Self {
        Self { drill, say, list: Vec::new() }
    }

    /// Something was found.
    pub fn note(&mut self, what: impl Into<String>, found: impl Into<String>) {
        let finding = Finding { what: what.into(), found: found.into() };
        self.say(&format!("{}: {}", finding.what, finding.found));
        self.list.push(finding);
    }

    /// Something goes on.
    pub fn say(&self, line: &str) {
        (self.say)(&format!("{}: {line}", self.drill));
    }

    /// The report, at the end.
    pub fn into_report(
        self,
        drill: Drill,
        scale: Scale,
        took: Duration,
        ended: eyre::Result<()>,
    ) -> Report {
        Report {
            drill: self.drill,
            claim: drill.claim(),
            scale,
            seconds: took.as_secs_f64(),
            findings: self.list,
            failure: ended.err().map(|error| format!("{error:#}")),
        }
    }
}

impl Report {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## {}: {}\n\n{} ({} scale, {:.0} s)\n\n",
            self.drill,
            if self.failure.is_none() { "held" } else { "FAILED" },
            self.claim,
            self.scale.name(),
            self.seconds
        );
        if let Some(failure) = &self.failure {
            text += &format!("**{failure}**\n\n");
        }
        let mut rows = vec![["what", "found"].map(str::to_owned)];
        rows.extend(self.findings.iter().map(|f| [f.what.clone(), f.found.clone()]));
        text + &markdown(&rows) + "\n"
    }
}

/// Seconds, with as many digits as say something.
pub fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
