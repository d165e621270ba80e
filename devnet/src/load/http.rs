//! A connection that writes requests when they are due and reads answers as they come.
//!
//! Requests are ready-made and pipelined: on two cores that also run the whole network, a client
//! that costs more than the server would measure itself.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use weft_types::TransactionId;

use super::watch::Board;
use super::{Counts, Ready};

/// Requests on the wire that are not answered yet.
const PIPELINE: usize = 64;

/// A node that does not answer for this long is gone for now.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause before connecting again.
const RECONNECT: Duration = Duration::from_millis(200);

/// What became of requests.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Sent.
    pub sent: u64,
    /// Accepted.
    pub accepted: u64,
    /// Refused, by what the node said.
    pub refused: Counts,
    /// Never answered: the node died.
    pub unanswered: u64,
    /// From being due to being accepted, in microseconds.
    pub accept_micros: Vec<u32>,
}

impl Outcome {
    /// Adds another connection's.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.unanswered += other.unanswered;
        self.accept_micros.extend(other.accept_micros);
        for (reason, count) in other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
    }
}

/// Sends everything from a queue to a node; connects again if the node dies.
pub async fn send_all(
    address: SocketAddr,
    node: usize,
    mut queue: mpsc::Receiver<Ready>,
    start: Instant,
    board: Arc<Board>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut next = queue.recv().await;
    while next.is_some() {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                let mut connection = Connection::new(stream);
                connection.run(&mut next, &mut queue, start, node, &board, &mut outcome).await;
                for (id, _) in connection.waiting {
                    outcome.unanswered += 1;
                    board.forget(&id);
                }
            }
            // What is due while the node is down is lost to it: users would go elsewhere.
            Err(_) => {
                while next.as_ref().is_some_and(|ready| start + ready.due < Instant::now()) {
                    outcome.unanswered += 1;
                    next = queue.recv().await;
                }
                sleep(RECONNECT).await;
            }
        }
    }
    outcome
}

struct Connection {
    /// Answers as they come. A stream, so that waiting for the next one can be given up halfway.
    answers: BoxStream<'static, (u16, Vec<u8>)>,
    write: OwnedWriteHalf,
    /// Sent and not answered yet, with when they were due.
    waiting: VecDeque<(TransactionId, Instant)>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        let answers = stream::unfold(BufReader::new(read), |mut read| async {
            let answer = answer(&mut read).await?;
            Some((answer, read))
        });
        Self { answers: answers.boxed(), write, waiting: VecDeque::new() }
    }

    /// Sends and reads until the queue is empty and everything is answered, or the node is gone.
    async fn run(
        &mut self,
        next: &mut Option<Ready>,
        queue: &mut mpsc::Receiver<Ready>,
        start: Instant,
        node: usize,
        board: &Board,
        outcome: &mut Outcome,
    ) {
        loop {
            let due = next.as_ref().map(|ready| start + ready.due);
            let may_send = due.is_some() && self.waiting.len() < PIPELINE;
            if !may_send && self.waiting.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or(start)), if may_send => {
                    let Some(ready) = next.take() else { return };
                    *next = queue.recv().await;
                    board.sent(ready.id, start + ready.due, node);
                    outcome.sent += 1;
                    self.waiting.push_back((ready.id, start + ready.due));
                    if self.write.write_all(&ready.request).await.is_err() {
                        return;
                    }
                }
                answer = timeout(PATIENCE, self.answers.next()), if !self.waiting.is_empty() => {
                    let Ok(Some((status, body))) = answer else { return };
                    let Some((id, due)) = self.waiting.pop_front() else { return };
                    if status == 202 {
                        outcome.accepted += 1;
                        let micros = due.elapsed().as_micros();
                        outcome.accept_micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
                    } else {
                        board.forget(&id);
                        *outcome.refused.entry(reason(status, &body)).or_default() += 1;
                    }
                }
            }
        }
    }
}

/// Reads one response: status and body. `None` if the connection ends or makes no sense.
async fn answer(read: &mut BufReader<OwnedReadHalf>) -> Option<(u16, Vec<u8>)> {
    let mut line = String::new();
    read.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut length = 0;
    loop {
        line.clear();
        read.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await.ok()?;
    Some((status, body))
}

/// What a node said, without what differs between two refusals of a kind.
fn reason(status: u16, body: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or("no detail");
    let plain: String = detail
        .split(' ')
        .map(|word| if word.bytes().any(|b| b.is_ascii_digit()) { "#" } else { word })
        .collect::<Vec<_>>()
        .join(" ");
    format!("{status} {plain}")
}
