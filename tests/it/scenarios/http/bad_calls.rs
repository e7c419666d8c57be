//! What others send that is wrong: a problem or a closed connection, never the server's fault and never its end.

use std::io::Write as _;

use super::{Answer, caller, token};
use crate::scenarios::delivery::Delivery;

#[test]
fn what_is_wrong_is_a_problem_and_the_server_goes_on() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let nobody = caller(&delivery);
    let all = nobody.with_token(&token(&delivery, "all", "admin", &[]));
    let commands = "/api/v1/systems/webshop/commands";
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/systems/..%2f..%2fetc/status", 400),
        ("GET", "/api/v1/systems/../../../etc/passwd", 404),
        ("GET", "/api/v1/systems/web%00shop/status", 400),
        ("GET", "/api/v1/systems/%ff/status", 400),
        ("GET", "/api/v1/systems/webshop%2fstatus", 404),
        ("GET", "/api/v1/systems/moon/status", 404),
        ("GET", "/api/v1/systems/webshop/runs/..%2f..%2f/steps/x/log", 400),
        ("GET", "/api/v1/systems/webshop/runs/deliver-1/steps/..%2fx/log", 400),
        ("GET", "/api/v1/systems/webshop/runs?limit=0", 400),
        ("GET", "/api/v1/systems/webshop/runs?limit=201", 400),
        ("GET", "/api/v1/systems/webshop/runs?limit=1&limit=2", 400),
        ("GET", "/api/v1/systems/webshop/runs?cursor=x", 400),
        ("GET", "/api/v1/systems/webshop/runs?colour=red", 400),
        ("GET", "/api/v1/systems/webshop/runs?stage=%ff", 400),
        ("GET", "/api/v1/systems/webshop/events?from=-1", 400),
        ("GET", "/api/v1/systems/webshop/events?from=99999999999999999999", 400),
        ("GET", "/api/v1/systems/webshop/status?at=soon", 400),
        ("GET", "/api/v1/systems/webshop/status?at=1h%20ago&seq=1", 400),
        ("GET", "/api/v1/systems/webshop/status?seq=4000000000", 404),
        ("GET", "/api/v1/systems/webshop/journey?what=x", 400),
        ("GET", "/api/v1/systems/webshop/stats?since=in%203d", 400),
        ("GET", "/api/v1/events?after=webshop", 400),
        ("DELETE", "/api/v1/systems", 405),
        ("POST", "/api/v1/systems", 405),
        ("PROPFIND", "/", 405),
        ("GET", commands, 405),
    ] {
        let answer = all.call(method, path, None);
        assert_eq!(answer.status, status, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{method} {path}");
        assert_eq!(answer.json()["status"], status, "{method} {path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    let long = format!(r#"{{"type":"pause","reason":"{}"}}"#, "x".repeat(70_000));
    let deep = "[".repeat(60_000);
    for (body, status) in [
        ("", 400),
        ("{", 400),
        (deep.as_str(), 400),
        ("null", 422),
        (r#"{"type":"pause"}"#, 422),
        (r#"{"type":"pause","reason":"r","more":1}"#, 422),
        (r#"{"type":"pause","reason":"r","type":"resume"}"#, 422),
        (long.as_str(), 413),
    ] {
        let answer = all.post(commands, body);
        assert_eq!(answer.status, status, "{body:.60}: {}", String::from_utf8_lossy(&answer.body));
    }
    // A reason cannot break out of what it is told in.
    let reason = r#"{"type":"pause","reason":"a\r\nSet-Cookie: x=1\u0000\u001b[2J"}"#;
    let answer = all.post(commands, reason);
    assert!(answer.status == 200 && !answer.headers.contains_key("set-cookie"), "{answer:?}");
    assert!(!delivery.granted(&["history"]).contains('\u{1b}'));

    let host = &nobody.host;
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "y".repeat(10 << 20));
    let get = |more: &str| format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
    for (bytes, statuses) in [
        (get(&many), &[431, 400][..]),
        (get(&large), &[431, 400]),
        (get("Host: other\r\n"), &[421, 400]),
        (get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), &[400, 200, 408]),
        ("GET /healthz HTTP/1.0\r\n\r\n".to_owned(), &[421]),
        ("GET /healthz HTTP/9.9\r\n\r\n".to_owned(), &[400, 505]),
        (format!("GET http://evil.example/healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), &[421]),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}".to_owned(), &[400]),
        ("nonsense\r\n\r\n".to_owned(), &[400]),
    ] {
        // A connection that is closed without a word is an answer too.
        if let Some(Answer { status, .. }) = nobody.raw(bytes.as_bytes()) {
            assert!(statuses.contains(&status), "{status}: {bytes:.60}");
        }
    }
    let chunks = format!(
        "POST {commands} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        all.headers[0].0, all.headers[0].1
    );
    let mut endless = nobody.connect();
    endless.write_all(chunks.as_bytes()).unwrap();
    let piece = format!("{:x}\r\n{}\r\n", 8_192, "x".repeat(8_192));
    let sent = (0..100_000).take_while(|_| endless.write_all(piece.as_bytes()).is_ok()).count();
    assert!(sent < 100_000, "it is not read for ever");
    assert_eq!(nobody.get("/healthz").status, 200, "it goes on");
    let log = delivery.server_log();
    assert!(!log.contains("panicked") && !log.contains("broke off"), "{log}");
}
