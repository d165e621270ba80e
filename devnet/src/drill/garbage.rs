//! Garbage and floods come in at every port.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use borsh::BorshSerialize;
use eyre::{WrapErr, ensure, eyre};
use futures::{AsyncWriteExt as _, future::join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use weft_node::p2p::message::{Bulk, Hello, Urgent, WIRE_VERSION};
use weft_types::hash::blake3;
use weft_types::{BidMode, Bytes, Leg, NamespaceId, Payload, Signed, Transaction};

use super::peer::{BULK, Stranger, URGENT};
use super::report::seconds;
use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::load::sign;
use crate::network::Network;
use crate::plan::{Options, Plan, key};
use crate::up::ROLLUPS;

/// How long a server may take to answer or hang up.
const PATIENCE: Duration = Duration::from_secs(40);

/// How much a process may grow meanwhile, in bytes.
const GROWTH: u64 = 200 << 20;

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let options = Options { rollups: ROLLUPS.to_vec(), ..lab.options("garbage") };
    let mut network = lab.start(options).await?;
    let before = memory(&mut network)?;
    let rates = Rates {
        rate: 50.0,
        rollup_rate: 2.0,
        duration: lab.scale.pick(Duration::from_secs(40), Duration::from_secs(300)),
        patience: Duration::from_secs(30),
    };
    let rounds = lab.scale.pick(1, 8);
    let traffic = Traffic::start(&network, rates, &[]).await?;
    for round in 0..rounds {
        requests(&network, findings).await.wrap_err("HTTP API")?;
        calls(&network, findings).await.wrap_err("wallets' RPC")?;
        raw(&network, round, findings).await.wrap_err("raw bytes")?;
        slow(&network, findings).await.wrap_err("slow clients")?;
        strangers(&network, round, findings).await.wrap_err("network among nodes")?;
        replays(&network, findings).await.wrap_err("replays")?;
    }
    let load = traffic.finish(findings).await?;
    load.check()?;
    for process in network.processes_mut() {
        let ended = process.ended();
        ensure!(ended.is_none(), "{} ended: {}", process.name(), ended.unwrap_or_default());
    }
    let after = memory(&mut network)?;
    let mut most = 0;
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        let growth = after.saturating_sub(*before);
        ensure!(growth < GROWTH, "{name} grew by {} MiB", growth >> 20);
        most = most.max(growth);
    }
    findings.note("largest growth of a process", format!("{} MiB", most >> 20));
    network.wait_ready(PATIENCE).await?;
    audit::chain(&network, &load, findings).await?;
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(())
}

/// Resident memory of every process, in bytes.
fn memory(network: &mut Network) -> eyre::Result<Vec<(String, u64)>> {
    network
        .processes_mut()
        .map(|process| Ok((process.name().to_owned(), process.memory()?)))
        .collect()
}

/// Bytes that look like nothing.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let blocks = (0u64..).flat_map(|i| blake3(&[&seed.to_be_bytes(), &i.to_be_bytes()]).0);
    blocks.take(length).collect()
}

struct Case {
    what: &'static str,
    method: reqwest::Method,
    path: &'static str,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    /// The status that is expected.
    status: u16,
    /// A part of the detail that is expected.
    says: &'static str,
}

impl Case {
    fn saying(self, says: &'static str) -> Self {
        Self { says, ..self }
    }
}

fn cases(chain_id: u64, plan: &Plan) -> eyre::Result<Vec<Case>> {
    let post = reqwest::Method::POST;
    let get = reqwest::Method::GET;
    let octets = Some("application/octet-stream");
    let json = Some("application/json");
    let transaction = |chain_id| {
        let payload =
            Payload::Submit { namespace: NamespaceId(1), data: vec![Bytes::from_static(b"x")] };
        sign(payload, chain_id, &plan.accounts[2], 0)
    };
    let good = borsh::to_vec(&transaction(chain_id))?;
    let mut unsigned: Transaction = transaction(chain_id);
    // It is nobody's then, or that of somebody who has nothing.
    unsigned.signature.0[7] ^= 1;
    let mut expired = transaction(chain_id).body;
    expired.valid_until = 1;
    let expired = Signed::new(expired, chain_id, &plan.accounts[2]);
    let poor = Signed::new(transaction(chain_id).body, chain_id, &key("nobody", 0));
    let mut idle = transaction(chain_id).body;
    idle.payload = Payload::Submit { namespace: NamespaceId(1), data: vec![] };
    let idle = Signed::new(idle, chain_id, &plan.accounts[2]);
    let trailing = [&good[..], &[0]].concat();
    let case = |what, method: &reqwest::Method, path, content_type, body, status| Case {
        what,
        method: method.clone(),
        path,
        content_type,
        body,
        status,
        says: "",
    };
    let submit = "/v1/transactions";
    let legs = |count: u64| -> Vec<Leg> {
        let data = vec![Bytes::from_static(b"x")];
        (1..=count).map(|id| Leg { namespace: NamespaceId(id), data: data.clone() }).collect()
    };
    let bid = |height, legs| -> eyre::Result<Transaction> {
        let payload =
            Payload::Bid { sequence: 0, height, amount: 1, mode: BidMode::Inclusion, legs };
        Ok(sign(payload, chain_id, &plan.accounts[2], 0))
    };
    Ok(vec![
        case("random bytes", &post, submit, octets, noise(1, 300), 400),
        case("nothing", &post, submit, octets, vec![], 400),
        case(
            "a truncated transaction",
            &post,
            submit,
            octets,
            good[..good.len() - 5].to_vec(),
            400,
        ),
        case("a byte too many", &post, submit, octets, trailing, 400),
        case("50 MiB", &post, submit, octets, vec![0; 50 << 20], 413),
        case("another chain", &post, submit, octets, borsh::to_vec(&transaction(1))?, 422)
            .saying("chain_id"),
        case("a bad signature", &post, submit, octets, borsh::to_vec(&unsigned)?, 422),
        case("an expired transaction", &post, submit, octets, borsh::to_vec(&expired)?, 422)
            .saying("valid_until"),
        case("no money", &post, submit, octets, borsh::to_vec(&poor)?, 422)
            .saying("does not cover"),
        case("nothing to submit", &post, submit, octets, borsh::to_vec(&idle)?, 422)
            .saying("no items"),
        case("no JSON", &post, submit, json, b"{\"tx\":".to_vec(), 400),
        case("JSON of another shape", &post, submit, json, b"[1,2]".to_vec(), 400),
        case("deep JSON", &post, submit, json, vec![b'['; 100_000], 400),
        case("hex that is none", &post, submit, json, b"{\"tx\":\"0xzz\"}".to_vec(), 400),
        case("another content type", &post, submit, Some("text/plain"), good, 415),
        case("no such path", &get, "/v1/nothing", None, vec![], 404),
        case("another method", &reqwest::Method::DELETE, "/v1/blocks/1", None, vec![], 405),
        case("no height", &get, "/v1/blocks/first", None, vec![], 400),
        case("a height to come", &get, "/v1/blocks/99999999", None, vec![], 404),
        case("a height beyond u64", &get, "/v1/blocks/99999999999999999999999", None, vec![], 400),
        case("no transaction id", &get, "/v1/transactions/0x12", None, vec![], 400),
        case("no namespace", &get, "/v1/namespaces/-1", None, vec![], 400),
        case("no address", &get, "/v1/accounts/0x", None, vec![], 400),
        case("no auction", &get, "/v1/auctions/-1", None, vec![], 400),
        case("an auction to come", &get, "/v1/auctions/99999999", None, vec![], 404),
        case("a proof of what", &get, "/v1/auctions/1?proof=2", None, vec![], 400),
        case("no bundle's id", &get, "/v1/bundles/0x1", None, vec![], 400),
        case("nobody's bundle", &get, NOBODYS_BUNDLE, None, vec![], 404),
        case("a bid for nothing", &post, submit, octets, borsh::to_vec(&bid(1, vec![])?)?, 422)
            .saying("an amount above zero"),
        case(
            "a bid too soon",
            &post,
            submit,
            octets,
            borsh::to_vec(&bid(u64::MAX, legs(1))?)?,
            422,
        )
        .saying("above the next one"),
        case("a bid too late", &post, submit, octets, borsh::to_vec(&bid(0, legs(1))?)?, 422)
            .saying("the next one is"),
        case("a bid for too much", &post, submit, octets, borsh::to_vec(&bid(9, legs(9))?)?, 422)
            .saying("9 legs"),
    ])
}

/// Requests that make no sense, each with the answer it must get.
async fn requests(network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let plan = &network.plan;
    let http = crate::client::http_client(PATIENCE);
    let mut count = 0;
    for node in &network.validators {
        for case in cases(plan.genesis.chain_id, plan)? {
            let mut request = http.request(case.method, node.client.url(case.path)).body(case.body);
            if let Some(content_type) = case.content_type {
                request = request.header("content-type", content_type);
            }
            let response = match request.send().await {
                Ok(response) => response,
                // A server may hang up on a body that it will not read.
                Err(error) if case.status == 413 && !error.is_timeout() => continue,
                Err(error) => return Err(error).wrap_err(case.what),
            };
            let status = response.status().as_u16();
            let closes = response.headers().get("connection").is_some_and(|it| it == "close");
            ensure!(closes || status != 413, "{}: kept a connection that it closes", case.what);
            let kind = response.headers().get("content-type").cloned();
            let text = response.text().await?;
            ensure!(status == case.status, "{}: {status} {text}", case.what);
            let kind = kind.and_then(|kind| kind.to_str().map(str::to_owned).ok());
            ensure!(
                kind.as_deref() == Some("application/problem+json"),
                "{}: answered {kind:?}: {text}",
                case.what
            );
            let problem: serde_json::Value = serde_json::from_str(&text)?;
            let says = problem["detail"].as_str().is_some_and(|detail| detail.contains(case.says));
            ensure!(says, "{}: no {:?} in the detail of {text}", case.what, case.says);
            count += 1;
        }
    }
    findings.note("senseless requests", format!("{count}, each refused with a problem document"));
    Ok(())
}

/// Calls to the JSON-RPC of rollups and nodes that make no sense.
async fn calls(network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let http = crate::client::http_client(PATIENCE);
    let many = format!(
        "[{}]",
        vec![r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#; 20_000].join(",")
    );
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("random bytes", noise(2, 300)),
        ("nothing", vec![]),
        ("no JSON-RPC", b"{}".to_vec()),
        ("no such method", rpc("eth_nothing", "[]")),
        ("params of another shape", rpc("eth_getBalance", "{\"a\":1}")),
        ("a raw transaction that is none", rpc("eth_sendRawTransaction", "[\"0x02abcdef\"]")),
        (
            "a huge raw transaction",
            rpc("eth_sendRawTransaction", &format!("[\"0x{}\"]", "ab".repeat(1 << 20))),
        ),
        (
            "a call with a huge gas limit",
            rpc(
                "eth_call",
                r#"[{"to":"0x0000000000000000000000000000000000000004","gas":"0xffffffffffffffff"},"nowhen"]"#,
            ),
        ),
        (
            "logs of a time that runs backwards",
            rpc("eth_getLogs", r#"[{"fromBlock":"0x2","toBlock":"0x1"}]"#),
        ),
        ("deep JSON", vec![b'['; 100_000]),
        ("20,000 calls at once", many.into_bytes()),
        ("a bundle of nothing", rpc("eth_sendBundle", "[{}]")),
        ("a bundle of noise", rpc("eth_sendBundle", r#"[{"txs":["0x02ab"],"blockNumber":"0x1"}]"#)),
        ("a shared bundle of noise", rpc("mev_sendBundle", r#"[{"inclusion":7,"body":"x"}]"#)),
        ("a simulation of what", rpc("eth_callBundle", r#"[{"txs":7}]"#)),
        ("a simulation of a time to come", rpc("eth_callBundle", AFTER_ALL_TIMES)),
        ("a bid that is none", rpc("weft_getBid", "[7]")),
        ("an auction of what", rpc("weft_getAuction", "[[]]")),
    ];
    let mut count = 0;
    let rollups = network.rollups.iter().map(|rollup| rollup.rpc.url().to_owned());
    let nodes = network.validators.iter().map(|node| node.client.url("/rpc"));
    for url in rollups.chain(nodes) {
        for (what, body) in &bodies {
            let sent = http
                .post(&url)
                .header("content-type", "application/json")
                .body(body.clone())
                .send()
                .await
                .wrap_err(*what)?;
            let status = sent.status().as_u16();
            let text = sent.text().await?;
            let answer: serde_json::Value = serde_json::from_str(&text)
                .wrap_err_with(|| format!("{what}: {status} {text:.200}"))?;
            let answer = if answer.is_array() { &answer[0] } else { &answer };
            ensure!(answer["error"]["message"].is_string(), "{what}: {status} {text:.200}");
            count += 1;
        }
    }
    findings.note("senseless calls by JSON-RPC", format!("{count}, each an error"));
    Ok(())
}

/// A bundle that was never sent.
const NOBODYS_BUNDLE: &str =
    "/v1/bundles/0x00000000000000000000000000000000000000000000000000000000000000ff";

/// A simulation after a height that will not be reached.
const AFTER_ALL_TIMES: &str = r#"[{"txs":[],"afterHeight":"0xffffffffffff"}]"#;

fn rpc(method: &str, params: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#).into_bytes()
}

/// Every port of the network.
fn ports(network: &Network) -> Vec<SocketAddr> {
    let nodes = network.plan.validators.iter();
    let nodes = nodes.flat_map(|node| [node.listen, node.api, node.metrics]);
    let rollups = network.plan.rollups.iter().flat_map(|rollup| [rollup.rpc, rollup.metrics]);
    nodes.chain(rollups).collect()
}

/// Bytes that are no protocol, at every port.
async fn raw(network: &Network, round: u64, findings: &mut Findings) -> eyre::Result<()> {
    let mut count = 0;
    for (i, port) in (0u64..).zip(ports(network)) {
        for (j, length) in (0u64..).zip([0usize, 1, 100, 10_000, 1_000_000]) {
            let mut stream = TcpStream::connect(port).await?;
            // The server may hang up at any time.
            let _ = stream.write_all(&noise(round << 16 | i << 8 | j, length)).await;
            count += 1;
        }
    }
    findings.note("connections with random bytes", format!("{count}, at every port"));
    Ok(())
}

/// Clients that begin a request and do not end it: servers must hang up.
async fn slow(network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let servers: Vec<SocketAddr> = network
        .plan
        .validators
        .iter()
        .map(|node| node.api)
        .chain(network.plan.rollups.iter().map(|rollup| rollup.rpc))
        .collect();
    let started = Instant::now();
    let clients = servers.iter().flat_map(|server| vec![*server; 50]).map(|server| async move {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(b"POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-le").await?;
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        ensure!(ended.is_ok(), "{server} waits for ever for the end of a request");
        Ok(())
    });
    let ended = join_all(clients).await;
    let count = ended.len();
    ended.into_iter().collect::<eyre::Result<Vec<()>>>()?;
    findings.note(
        "requests that do not end",
        format!("{count}, all hung up on after {} at most", seconds(started.elapsed())),
    );
    Ok(())
}

fn frame(message: &impl BorshSerialize) -> eyre::Result<Vec<u8>> {
    let bytes = borsh::to_vec(message)?;
    let mut frame = u32::try_from(bytes.len())?.to_le_bytes().to_vec();
    frame.extend(bytes);
    Ok(frame)
}

/// Peers that finish the handshake and then say what they like.
async fn strangers(network: &Network, round: u64, findings: &mut Findings) -> eyre::Result<()> {
    let genesis = network.validators[0].client.get("/status").await?["genesis"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| eyre!("no genesis in /status"))?;
    let hello = Hello {
        version: WIRE_VERSION,
        genesis,
        agent: "stranger".to_owned(),
        tip: u64::MAX,
        validator: None,
    };
    let transactions: Vec<Transaction> = (0..1024)
        .map(|i| {
            let payload = Payload::Submit { namespace: NamespaceId(1), data: vec![] };
            let mut transaction = sign(payload, 1, &network.plan.accounts[2], i);
            transaction.signature.0[3] ^= 1;
            transaction
        })
        .collect();
    let hello = frame(&Urgent::Hello(hello))?;
    let flood = frame(&Bulk::Transactions(transactions))?;
    let with_hello = |bytes: &[u8]| [&hello[..], bytes].concat();
    let sayings: Vec<(&'static str, Vec<u8>)> = vec![
        (URGENT, noise(round, 10_000)),
        (URGENT, u32::MAX.to_le_bytes().to_vec()),
        (URGENT, hello[..hello.len() - 3].to_vec()),
        (URGENT, with_hello(&hello)),
        (URGENT, with_hello(&noise(round + 1, 5000))),
        (URGENT, with_hello(&frame(&Urgent::Status(noise(round + 2, 100_000)))?)),
        (BULK, noise(round + 3, 2_000_000)),
        (BULK, u32::MAX.to_le_bytes().to_vec()),
    ];
    let mut count = 0;
    for node in &network.plan.validators {
        for (protocol, bytes) in &sayings {
            let mut stranger = Stranger::connect(Plan::address_of(node)).await?;
            // It may be hung up on while it speaks.
            let _ = stranger.say(protocol, bytes).await;
            count += 1;
        }
        // A flood of transactions with bad signatures, as fast as the node reads.
        let mut stranger = Stranger::connect(Plan::address_of(node)).await?;
        let _ = stranger.say(URGENT, &hello).await;
        if let Ok(mut stream) = stranger.open(BULK).await {
            let _ = stream.write_all(&hello).await;
            let flooding = async { while stream.write_all(&flood).await.is_ok() {} };
            let _ = timeout(Duration::from_secs(3), flooding).await;
        }
        count += 1;
    }
    findings
        .note("strangers on the network among nodes", format!("{count}, none of whom mattered"));
    Ok(())
}

/// The same transaction again and again, at every node.
async fn replays(network: &Network, findings: &mut Findings) -> eyre::Result<()> {
    let payload =
        Payload::Submit { namespace: NamespaceId(1), data: vec![Bytes::from_static(b"again")] };
    let transaction = sign(payload, network.plan.genesis.chain_id, &network.plan.accounts[3], 7);
    let mut ids = Vec::new();
    for _ in 0..50 {
        for node in &network.validators {
            match node.client.submit(&transaction).await? {
                Ok(id) => ids.push(id),
                Err(refused) => {
                    return Err(eyre!("a replay was refused: {}", refused.problem));
                }
            }
        }
    }
    ids.dedup();
    ensure!(ids.len() == 1, "the same bytes got {} ids", ids.len());
    network.validators[0].client.wait_final(&ids[0], PATIENCE).await?;
    findings.note("replays of one transaction", "200, one id, final once");
    Ok(())
}
