//! Commands: child processes that run to their end within a time, and whose output is the answer.

use std::process::Stdio;
use std::time::Duration;

use eyre::{WrapErr, eyre};
use tokio::process::Command;
use tokio::time::timeout;

/// How many bytes of what a command wrote an error message repeats, from the end.
const QUOTED: usize = 4000;

/// What a command left behind when it had ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Whether its exit status says success.
    pub success: bool,
    /// Its exit status, in words.
    pub status: String,
    /// What it wrote to its output.
    pub stdout: String,
    /// What it wrote to its error output.
    pub stderr: String,
}

impl Ended {
    /// Its output, or an error that names the command as `what` and repeats what it complained of.
    pub fn output(self, what: &str) -> eyre::Result<String> {
        if self.success {
            return Ok(self.stdout);
        }
        Err(eyre!("{what} failed ({}): {}", self.status, self.complaint()))
    }

    /// The end of its error output, or of its output if there is none.
    pub fn complaint(&self) -> &str {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let text = text.trim();
        let cut = text.len().saturating_sub(QUOTED);
        let start = (cut..=text.len()).find(|at| text.is_char_boundary(*at));
        start.map_or("", |start| &text[start..])
    }
}

/// Runs a command to its end, with `stdin` as its input.
///
/// A command that exits unsuccessfully is no error here; one that cannot be started is, and so is
/// one that has not ended after `patience`, which is then killed. `what` names it in errors. Its
/// arguments are never repeated: there may be a private key among them.
pub async fn run(
    command: &mut Command,
    what: &str,
    stdin: Stdio,
    patience: Duration,
) -> eyre::Result<Ended> {
    let child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .wrap_err_with(|| format!("cannot start {what}"))?;
    let output = timeout(patience, child.wait_with_output())
        .await
        .map_err(|_| eyre!("{what} did not end in {patience:?} and was killed"))??;
    Ok(Ended {
        success: output.status.success(),
        status: output.status.to_string(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_does_not_end_is_killed() {
        let started = std::time::Instant::now();
        let error = run(
            Command::new("sleep").arg("60"),
            "sleeping",
            Stdio::null(),
            Duration::from_millis(50),
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains("sleeping did not end"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_failure_names_the_command_and_repeats_its_complaint() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo so; echo because >&2; exit 3"]);
        let ended = run(&mut command, "it", Stdio::null(), Duration::from_secs(30)).await.unwrap();
        assert_eq!(ended.stdout, "so\n");
        let error = ended.output("it").unwrap_err().to_string();
        assert_eq!(error, "it failed (exit status: 3): because");
    }

    #[test]
    fn a_long_complaint_is_cut_from_the_front_between_characters() {
        let stderr = "ä".repeat(QUOTED) + "!";
        let ended = Ended { success: false, status: String::new(), stdout: String::new(), stderr };
        assert!(ended.complaint().len() <= QUOTED);
        assert!(ended.complaint().ends_with("ä!"));
    }
}
