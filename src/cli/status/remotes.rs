//! Which calls to remotes go on, in lines.

use crate::{
    cli::{
        output::{Tone, paint},
        words,
    },
    engine::explain,
    view::status::RemoteCall,
};

/// What is heard of more often goes on well.
const QUIET_MS: i64 = 5_000;

/// One line for each, as it is seen at `now_ms`.
pub(in crate::cli) fn lines(calls: &[RemoteCall], now_ms: i64) -> impl Iterator<Item = String> {
    calls.iter().map(move |call| {
        let RemoteCall { repository, doing, progress, since_ms, heard_ms, until_ms, then } = call;
        let progress = progress.as_ref().map_or_else(String::new, |progress| format!(" {progress}"));
        let since = words::before(now_ms, *since_ms);
        let until = until_ms.map_or_else(String::new, explain::time);
        let quiet_ms = now_ms - heard_ms;
        let end = match then.as_deref() {
            Some("believed") => format!("; believed at {until}, unless a newer one is read"),
            Some(_) if quiet_ms >= QUIET_MS => {
                format!("; nothing heard for {}, tried again at {until}", words::duration(quiet_ms))
            }
            _ => String::new(),
        };
        format!("  {repository} {}, since {since}{end}", paint(&format!("{doing}{progress}"), Tone::Busy))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        house::remotes::remote_call,
        providers::git::{Call, CallKind},
    };

    #[test]
    fn who_looks_is_told_who_waits_for_what_since_when_and_until_when() {
        let call = |kind, doing: &str, progress: Option<&str>, heard_ms| Call {
            mirror: "image-1.git".to_owned(),
            kind,
            doing: doing.to_owned(),
            progress: progress.map(str::to_owned),
            since_ms: 0,
            heard_ms,
            patience_ms: 30_000,
        };
        let calls = [
            call(CallKind::Process, "cloning dev", Some("37 %, 120.00 MiB"), 19_000),
            call(CallKind::Process, "pushing to dev", None, 5_000),
            call(CallKind::Wait, "waiting for the clone that goes on", None, 0),
            call(CallKind::Doubt, "reading dev as 1234567", None, 0),
        ];
        let calls: Vec<RemoteCall> = calls.iter().map(|call| remote_call("image", call)).collect();
        let said: Vec<String> = lines(&calls, 20_000).collect();
        assert_eq!(
            said,
            [
                "  image cloning dev 37 %, 120.00 MiB, since 20s ago",
                "  image pushing to dev, since 20s ago; nothing heard for 15.0s, tried again at 1970-01-01 00:00:35 UTC",
                "  image waiting for the clone that goes on, since 20s ago",
                "  image reading dev as 1234567, since 20s ago; believed at 1970-01-01 00:00:30 UTC, unless a newer one is read",
            ]
        );
    }
}
