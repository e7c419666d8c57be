//! Servers whose answers never end, lie about their length, come in drops or in codings, for whatever asks over HTTP.

use std::time::Duration;

use tidegate::providers::{
    Secret,
    http_check::{Check, check},
    webhook::{Post, Webhook},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The end of what has none of its own.
const DEADLINE: Duration = Duration::from_secs(4);
/// What a bound leaves: far less than what is sent.
const LONGEST_ERROR: usize = 64 << 10;

/// What a server does once it has heard a question.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// A head and a body that goes on for as long as anybody reads.
    Endless(&'static str),
    /// These bytes, and then nothing; the connection stays.
    Then(&'static str),
    /// A byte of a header now and then.
    Drops,
    /// Headers without end.
    Headers,
    /// One header without end.
    Header,
}

const ANSWERS: [Answer; 12] = [
    Answer::Endless("HTTP/1.1 500 No\r\n\r\n"),
    Answer::Endless("HTTP/1.1 500 No\r\nContent-Length: 999999999999999\r\n\r\n"),
    Answer::Endless("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n"),
    Answer::Endless("HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\n\r\n"),
    Answer::Then("HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\n\u{1b}[2J"),
    Answer::Then("HTTP/1.1 500 No\r\nContent-Length: -1\r\n\r\n"),
    Answer::Then("HTTP/1.1 500 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    Answer::Then("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
    Answer::Then("SSH-2.0-OpenSSH_9.9\r\n"),
    Answer::Drops,
    Answer::Headers,
    Answer::Header,
];

async fn serve(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(say(stream, answer));
        }
    });
    format!("http://{address}/")
}

/// Says it until the other side has heard enough.
async fn say(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await?;
    let (head, then): (&str, Vec<u8>) = match answer {
        Answer::Endless(head) => (head, vec![b'x'; 1 << 16]),
        Answer::Then(bytes) => (bytes, Vec::new()),
        Answer::Drops => ("HTTP/1.1 200 OK\r\nX-Drops: ", Vec::new()),
        Answer::Headers => ("HTTP/1.1 200 OK\r\n", b"X-More: a\r\n".repeat(1_000)),
        Answer::Header => ("HTTP/1.1 200 OK\r\nX-Long: ", vec![b'x'; 1 << 16]),
    };
    stream.write_all(head.as_bytes()).await?;
    if matches!(answer, Answer::Drops) {
        loop {
            stream.write_all(b"x").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    while !then.is_empty() {
        stream.write_all(&then).await?;
    }
    // Until the other side goes.
    let _ = stream.read(&mut request).await?;
    Ok(())
}

#[tokio::test]
async fn no_answer_keeps_a_question_for_longer_than_its_deadline_or_fills_memory() {
    for answer in ANSWERS {
        let url = serve(answer).await;
        let asked = Check { url, status: None, contains: None, follow_redirects: true, deadline: DEADLINE };
        // What has no end of its own would never come back; the test's own end would say so.
        let fault = check(&asked).await.expect_err("none of these is an answer");
        assert!(fault.to_string().len() < LONGEST_ERROR, "{answer:?}: {} bytes", fault.to_string().len());
    }
}

#[tokio::test]
async fn no_answer_keeps_a_notice_for_longer_than_its_deadline_or_fills_memory() {
    for answer in ANSWERS {
        let hook =
            Webhook::new(&serve(answer).await, &[Secret::new("a secret that is long enough for anybody")]).unwrap();
        let fault = hook.send(&Post { id: "msg_1", body: "{}" }, DEADLINE).await;
        if let Err(fault) = fault {
            assert!(fault.to_string().len() < LONGEST_ERROR, "{answer:?}: {} bytes", fault.to_string().len());
        }
    }
}
