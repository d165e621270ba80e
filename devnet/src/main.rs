//! `cargo devnet`.

use std::time::Duration;

fn main() -> eyre::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut options = weft_devnet::Options::default();
        options.load_accounts = 64;
        weft_devnet::plan::clear(&options.dir)?;
        let plan = weft_devnet::Plan::new(options)?;
        let programs = weft_devnet::Programs::beside_this()?;
        let mut network = weft_devnet::Network::start(plan, &programs).await?;
        println!("{}", network.write_file()?.display());
        if let Some(rate) = std::env::args().nth(1) {
            let load = weft_devnet::load::Load {
                nodes: network.validators.iter().map(|v| v.plan.api).collect(),
                accounts: network.plan.load_accounts.clone(),
                chain_id: network.plan.genesis.chain_id,
                namespaces: vec![1, 2],
                rate: rate.parse()?,
                duration: Duration::from_secs(20),
                bytes: 200,
                connections: 2,
                patience: Duration::from_secs(10),
            };
            println!("{}", load.run().await?.table());
        } else {
            tokio::signal::ctrl_c().await?;
        }
        network.stop().await?;
        Ok(())
    })
}
