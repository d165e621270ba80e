//! Which contracts are used, and where their code is found.

use alloy_primitives::Bytes;
use eyre::WrapErr;

use super::answers;
use crate::tools::Tools;

/// The token, in forge's project. Its constructor takes a name, a symbol and the supply.
pub const TOKEN: &str = "contracts/Token.sol:Token";

/// The factory of pairs. Its constructor takes who may set the protocol's fee.
pub const FACTORY: &str = "@uniswap/v2-core/build/UniswapV2Factory.json";

/// The pair, which only the factory deploys.
pub const PAIR: &str = "@uniswap/v2-core/build/UniswapV2Pair.json";

/// The router. Its constructor takes the factory and wrapped ether.
pub const ROUTER: &str = "@uniswap/v2-periphery/build/UniswapV2Router02.json";

/// Wrapped ether.
pub const WETH: &str = "@uniswap/v2-periphery/build/WETH9.json";

/// The code that creates one of the published contracts.
pub fn init_code(tools: &Tools, package_path: &str) -> eyre::Result<Bytes> {
    let path = tools.package_file(package_path);
    let artifact = std::fs::read_to_string(&path)
        .wrap_err_with(|| format!("cannot read {}", path.display()))?;
    answers::init_code(&artifact)
}
