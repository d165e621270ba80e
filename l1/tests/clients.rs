//! Clients against servers that do what servers should not.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use weft_l1::rpc::{Bounds, Client, RpcError};

/// How long those are waited for who do not answer.
const TIMEOUT: Duration = Duration::from_millis(500);
const MOST: usize = 64 * 1024;

/// How long any test may take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn client(scheme: &str, address: SocketAddr) -> Client {
    client_with(scheme, address, PATIENCE)
}

fn client_with(scheme: &str, address: SocketAddr, timeout: Duration) -> Client {
    let bounds = Bounds { max_answer: MOST, timeout };
    Client::new(&format!("{scheme}://{address}/some/key"), bounds).unwrap()
}

async fn ask(client: &Client) -> Result<Value, RpcError> {
    let started = Instant::now();
    let answer = client.call("eth_blockNumber", json!([])).await;
    assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    answer
}

/// The answer to a call, whatever is asked.
fn answer_to(request: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": request["id"], "result": request["method"] })
}

async fn endless() -> Response {
    let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'['; 8192])));
    Body::from_stream(chunks).into_response()
}

async fn hangs_up() -> Response {
    let broken = stream::iter([
        Ok(Bytes::from_static(b"{\"jsonrpc\":")),
        Err(std::io::Error::other("hangs up")),
    ]);
    Body::from_stream(broken).into_response()
}

async fn limited() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "7")]).into_response()
}

async fn elsewhere() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/fine")]).into_response()
}

#[tokio::test]
async fn an_answer_without_end_is_read_up_to_a_limit() {
    let address = serve(Router::new().fallback(any(endless))).await;
    assert_eq!(ask(&client("http", address)).await, Err(RpcError::TooLarge(MOST)));
}

#[tokio::test]
async fn who_does_not_answer_is_waited_for_so_long() {
    let never = || async { std::future::pending::<Response>().await };
    let address = serve(Router::new().fallback(any(never))).await;
    assert_eq!(ask(&client_with("http", address, TIMEOUT)).await, Err(RpcError::Timeout(TIMEOUT)));
    // A connection that nobody reads from.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let held = tokio::spawn(async move { listener.accept().await });
    assert_eq!(ask(&client_with("http", address, TIMEOUT)).await, Err(RpcError::Timeout(TIMEOUT)));
    drop(held);
}

#[tokio::test]
async fn what_is_no_answer_is_named() {
    let transport = |answer| matches!(answer, Err(RpcError::Transport(_)));
    let address = serve(Router::new().fallback(any(hangs_up))).await;
    assert!(transport(ask(&client("http", address)).await));
    let address = serve(Router::new().fallback(any(limited))).await;
    let later = RpcError::RateLimited(Some(Duration::from_secs(7)));
    assert_eq!(ask(&client("http", address)).await, Err(later));
    // A redirect is not followed.
    let fine = || async { axum::Json(json!({ "id": 1, "result": "0x1" })) };
    let router = Router::new().route("/fine", post(fine)).fallback(any(elsewhere));
    assert!(transport(ask(&client("http", serve(router).await)).await));
    // Bound and not listening: refused, and nobody else can get the port meanwhile.
    let gone = tokio::net::TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    assert!(transport(ask(&client("http", gone.local_addr().unwrap())).await));
    for garbage in ["", "<html>", "[1, 2]", "{\"id\": 99, \"result\": 1}", "\u{0}\u{1}"] {
        let address = serve(Router::new().fallback(any(move || async move { garbage }))).await;
        let answer = ask(&client("http", address)).await;
        assert!(matches!(answer, Err(RpcError::Malformed(_))), "{garbage}: {answer:?}");
    }
}

#[tokio::test]
async fn answers_of_a_batch_are_told_apart_by_their_ids() {
    let reversed = |axum::Json(requests): axum::Json<Vec<Value>>| async move {
        axum::Json(requests.iter().rev().map(answer_to).collect::<Vec<_>>())
    };
    let address = serve(Router::new().fallback(post(reversed))).await;
    let calls = [("a", json!([])), ("b", json!([])), ("c", json!([]))];
    let answers = client("http", address).batch(&calls).await.unwrap();
    assert_eq!(answers, [Ok(json!("a")), Ok(json!("b")), Ok(json!("c"))]);
    let first_only = |axum::Json(requests): axum::Json<Vec<Value>>| async move {
        axum::Json(json!([answer_to(&requests[0])]))
    };
    let address = serve(Router::new().fallback(post(first_only))).await;
    let answers = client("http", address).batch(&calls).await.unwrap();
    assert_eq!(answers[0], Ok(json!("a")));
    assert!(matches!(answers[1], Err(RpcError::Malformed(_))));
}

/// What a WebSocket server does with a message.
#[derive(Clone, Copy)]
enum Conduct {
    Answers,
    /// Says that there is news before it answers.
    Chatters,
    Closes,
    Endless,
    Binary,
    Never,
}

async fn converse(mut socket: WebSocket, conduct: Conduct) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let request: Value = serde_json::from_str(text.as_str()).unwrap();
        if request["method"] == "eth_subscribe" {
            continue;
        }
        let answer = Message::text(answer_to(&request).to_string());
        let news = json!({ "method": "eth_subscription", "params": { "result": {} } });
        let sent = match conduct {
            Conduct::Answers => socket.send(answer).await,
            Conduct::Chatters => {
                for _ in 0..3 {
                    let _ = socket.send(Message::text(news.to_string())).await;
                }
                socket.send(answer).await
            }
            Conduct::Closes => return,
            Conduct::Endless => socket.send(Message::text("[".repeat(2 * MOST))).await,
            Conduct::Binary => socket.send(Message::binary(vec![1, 2, 3])).await,
            Conduct::Never => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn websocket(conduct: Conduct) -> Client {
    let upgrade = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(move |socket| converse(socket, conduct))
    };
    let timeout = if matches!(conduct, Conduct::Never) { TIMEOUT } else { PATIENCE };
    client_with("ws", serve(Router::new().fallback(any(upgrade))).await, timeout)
}

#[tokio::test]
async fn a_websocket_answers_and_brings_news() {
    let client = websocket(Conduct::Chatters).await;
    assert_eq!(ask(&client).await, Ok(json!("eth_blockNumber")));
    tokio::time::timeout(PATIENCE, client.news()).await.unwrap();
    assert_eq!(ask(&client).await, Ok(json!("eth_blockNumber")), "and again");
    assert_eq!(ask(&websocket(Conduct::Answers).await).await, Ok(json!("eth_blockNumber")));
}

#[tokio::test]
async fn a_websocket_that_goes_wrong_is_opened_anew() {
    for (conduct, error) in [
        (Conduct::Closes, None),
        (Conduct::Endless, Some(RpcError::TooLarge(MOST))),
        (Conduct::Binary, Some(RpcError::Malformed("a binary message".to_owned()))),
        (Conduct::Never, Some(RpcError::Timeout(TIMEOUT))),
    ] {
        let client = websocket(conduct).await;
        for _ in 0..2 {
            let answer = ask(&client).await.unwrap_err();
            match &error {
                Some(error) => assert_eq!(answer, *error),
                None => assert!(matches!(answer, RpcError::Transport(_)), "{answer}"),
            }
        }
    }
}

#[tokio::test]
async fn half_a_handshake_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        let _ = stream.read(&mut request).await;
        std::future::pending::<()>().await;
    });
    assert_eq!(ask(&client_with("ws", address, TIMEOUT)).await, Err(RpcError::Timeout(TIMEOUT)));
    let refuses = |_: HeaderMap| async { StatusCode::TOO_MANY_REQUESTS };
    let address = serve(Router::new().fallback(any(refuses))).await;
    assert_eq!(ask(&client("ws", address)).await, Err(RpcError::RateLimited(None)));
}
