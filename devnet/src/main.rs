//! `cargo devnet`.

fn main() -> eyre::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let options = weft_devnet::Options::default();
        weft_devnet::plan::clear(&options.dir)?;
        let plan = weft_devnet::Plan::new(options)?;
        let programs = weft_devnet::Programs::beside_this()?;
        let mut network = weft_devnet::Network::start(plan, &programs).await?;
        println!("{}", network.write_file()?.display());
        tokio::signal::ctrl_c().await?;
        network.stop().await?;
        Ok(())
    })
}
