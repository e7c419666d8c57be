//! Questions to web addresses, on real sockets.

use std::time::Duration;

use tidegate::providers::Fault;
use tidegate::providers::http_check::{Check, check};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every request with `answer`; an empty answer never comes.
async fn server(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}/")
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn question(url: &str) -> Check {
    let deadline = Duration::from_secs(5);
    Check { url: url.to_owned(), status: None, contains: None, follow_redirects: false, deadline }
}

#[tokio::test]
async fn an_answer_is_compared_with_what_is_expected() {
    let url = server(answer("200 OK", "version 1.2")).await;
    assert_eq!(check(&question(&url)).await.unwrap().excerpt, "version 1.2");
    let passed = check(&Check { contains: Some("1.2".to_owned()), ..question(&url) }).await.unwrap();
    assert_eq!(passed.status, 200);
    let fault = check(&Check { contains: Some("1.3".to_owned()), ..question(&url) }).await.unwrap_err();
    assert!(matches!(&fault, Fault::Retry { error, .. } if error.contains("without \"1.3\"; it said: version 1.2")));
    let fault = check(&Check { status: Some(204), ..question(&url) }).await.unwrap_err();
    assert!(fault.to_string().contains("answered 200 OK, expected 204"), "{fault}");
}

#[tokio::test]
async fn a_redirect_is_followed_only_when_asked() {
    let well = server(answer("200 OK", "well")).await;
    let moved = server(format!("HTTP/1.1 302 Found\r\nLocation: {well}\r\nContent-Length: 0\r\n\r\n")).await;
    let fault = check(&question(&moved)).await.unwrap_err();
    assert!(fault.to_string().contains("answered 302 Found, expected 2xx"), "{fault}");
    assert_eq!(check(&Check { follow_redirects: true, ..question(&moved) }).await.unwrap().excerpt, "well");
}

#[tokio::test]
async fn silence_and_endless_answers_are_bounded() {
    let silent = server(String::new()).await;
    let fault = check(&Check { deadline: Duration::from_millis(200), ..question(&silent) }).await.unwrap_err();
    assert!(matches!(&fault, Fault::Retry { error, .. } if error.contains("timed out")), "{fault}");
    let endless = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(3_000_000));
    assert_eq!(check(&question(&server(endless).await)).await.unwrap().excerpt.len(), 500);
}

#[tokio::test]
async fn nobody_there_is_tried_again_and_a_wrong_address_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let fault = check(&question(&url)).await.unwrap_err();
    assert!(matches!(&fault, Fault::Retry { error, .. } if error.contains("refused")), "{fault}");
    assert!(matches!(check(&question("ftp://example.com")).await, Err(Fault::Fail { .. })));
}
