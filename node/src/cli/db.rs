//! `weft db`.

use clap::Subcommand;
use eyre::WrapErr;

use super::{HomeArgs, say};
use crate::config::StoreConfig;
use crate::replay;
use crate::store::view::View;
use crate::store::{Log, verify};

#[derive(Debug, Subcommand)]
pub(super) enum Db {
    /// Read and check every frame of the block log.
    Verify(HomeArgs),
    /// Throw the view away and rebuild it from the block log.
    RebuildView(HomeArgs),
}

impl Db {
    pub(super) fn run(self) -> eyre::Result<()> {
        let (Self::Verify(args) | Self::RebuildView(args)) = &self;
        let home = args.home();
        let _lock = home.lock()?;
        let genesis = home.genesis()?;
        let id = genesis.header(&genesis.check()?).id();
        match self {
            Self::Verify(_) => {
                let found = verify(&home.log(), id, |segment, heights| {
                    say(&format!("ok  {}  {heights} heights", segment.display()));
                })?;
                say(&format!("the block log is intact up to height {}", found.tip));
                if found.torn_bytes > 0 {
                    say(&format!(
                        "behind that is a torn tail of {} bytes; the next start cuts it off",
                        found.torn_bytes
                    ));
                }
            }
            Self::RebuildView(_) => {
                let store = StoreConfig::default();
                // Writes nothing, and so leaves a torn tail to the next start.
                let (log, _) = Log::open(&home.log(), id, store.segment_bytes)?;
                let path = home.view();
                if path.exists() {
                    std::fs::remove_dir_all(&path)
                        .wrap_err_with(|| format!("cannot remove {}", path.display()))?;
                }
                let opened = View::open(&path, &genesis, store.view_cache_bytes)?;
                let tip = replay::replay(&genesis, &log, &opened.view, None)?;
                opened.view.stop();
                let ended = opened.writer.join();
                eyre::ensure!(
                    ended.is_ok() && !opened.view.has_failed(),
                    "the view cannot be written"
                );
                say(&format!("rebuilt the view up to height {}", tip.header.height));
            }
        }
        Ok(())
    }
}
