//! `cargo devnet drill`.

use std::path::PathBuf;

use clap::ValueEnum;
use eyre::{bail, ensure};

use super::{Drill, Lab, Scale};

/// Breaks networks of its own in stated ways, and reports what they did.
///
/// The report is on standard output as Markdown, and as `report.md` and `report.json` in the
/// directory.
#[derive(Clone, Debug, clap::Args)]
pub struct DrillCommand {
    /// Which drills: `all`, or names
    #[arg(required = true, value_name = "NAME|all")]
    pub names: Vec<String>,
    /// How long and how often
    #[arg(long, value_enum, default_value = "full")]
    pub scale: Scale,
    /// Where networks are kept
    #[arg(long, default_value = "target/drills")]
    pub dir: PathBuf,
    /// The first of the hundred ports that are used
    #[arg(long, default_value_t = 26800)]
    pub base_port: u16,
    /// Print the report as JSON on the last line, instead of Markdown
    #[arg(long)]
    pub json: bool,
}

impl DrillCommand {
    /// Runs it.
    #[expect(clippy::print_stdout, reason = "what a command answers")]
    pub async fn run(self) -> eyre::Result<()> {
        let mut drills = Vec::new();
        for name in &self.names {
            match Drill::from_str(name, false) {
                Ok(drill) => drills.push(drill),
                Err(_) if name == "all" => drills.extend(Drill::all()),
                Err(_) => {
                    let names: Vec<String> = Drill::all().iter().map(|d| d.name()).collect();
                    bail!("no drill is called {name}; there are: {}, all", names.join(", "));
                }
            }
        }
        let (lab, dir) = Lab::open(&self.dir, self.base_port, self.scale).await?;
        let mut reports = Vec::new();
        for drill in drills {
            reports.push(drill.run(&lab).await);
        }
        let markdown: Vec<String> = reports.iter().map(super::Report::markdown).collect();
        let markdown = markdown.join("\n");
        let json = serde_json::to_string(&reports)?;
        std::fs::write(dir.path().join("report.md"), &markdown)?;
        std::fs::write(dir.path().join("report.json"), &json)?;
        println!("{}", if self.json { json } else { markdown });
        let failed: Vec<&str> =
            reports.iter().filter(|r| r.failure.is_some()).map(|r| r.drill.as_str()).collect();
        ensure!(failed.is_empty(), "did not hold: {}", failed.join(", "));
        Ok(())
    }
}
