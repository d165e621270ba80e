//! What namespaces cost per block and per proof.

use std::hint::black_box;
use std::time::{Duration, Instant};

use eyre::eyre;
use weft_types::NamespaceId;
use weft_types::hash::blake3;
use weft_types::slice::{NamespaceTree, SliceLeaf};

use super::Figure;
use crate::drill::Lab;

/// Namespaces in a block.
const COUNTS: [u64; 4] = [1, 10, 100, 1000];

pub fn run(lab: &Lab) -> eyre::Result<Vec<Figure>> {
    (lab.say)("cost of namespaces");
    let lasts = lab.scale.pick(Duration::from_millis(100), Duration::from_secs(1));
    let mut figures = Vec::new();
    let mut first: Option<(f64, f64)> = None;
    for count in COUNTS {
        let leaves: Vec<SliceLeaf> = (0..count).map(leaf).collect();
        let build = mean_micros(lasts, || NamespaceTree::new(black_box(leaves.clone())));
        let tree = NamespaceTree::new(leaves).ok_or_else(|| eyre!("leaves out of order"))?;
        let root = tree.slices_root();
        let namespace = NamespaceId(2 * (count / 2) + 1);
        let prove = mean_micros(lasts, || tree.prove(black_box(namespace)));
        let proof = tree.prove(namespace);
        let check = mean_micros(lasts, || proof.check(black_box(namespace), root));
        let bytes = borsh::object_length(&proof)?;
        let (build_1, check_1) = *first.get_or_insert((build, check));
        figures.push(
            Figure::plain(
                format!("{count} namespaces in a block"),
                format!(
                    "tree {build:.1} us ({:.2} each), proof {prove:.2} us and {bytes} bytes, \
                     checked in {check:.1} us",
                    build / f64::from(u32::try_from(count)?)
                ),
            )
            .against(
                "1 namespace",
                format!("tree {:.0} times, check {:.1} times", build / build_1, check / check_1),
            )
            .aim("per proof O(log n)"),
        );
    }
    Ok(figures)
}

fn leaf(index: u64) -> SliceLeaf {
    let data_root = blake3(&[&index.to_be_bytes()]);
    SliceLeaf { namespace: NamespaceId(2 * index + 1), entries: 3, bytes: 600, data_root }
}

/// How long something takes, in microseconds, on average over a while.
pub fn mean_micros<T>(lasts: Duration, mut what: impl FnMut() -> T) -> f64 {
    let started = Instant::now();
    let mut times = 0u32;
    while started.elapsed() < lasts {
        for _ in 0..10 {
            black_box(what());
        }
        times += 10;
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}
