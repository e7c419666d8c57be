//! The commands, and the changes that come of them.

use super::row::{Answer, BASE, IF_MATCH, KEY, Method, Needs, Route, of, text};
use crate::{
    engine::Command,
    house::predictions::Prediction,
    view::{
        answers::{Done, EventTold, NudgeAsked, Nudged},
        predictions::PredictionAsked,
    },
    web::{changes, commands, predictions},
};

/// Commands.
pub static COMMANDS: Route = Route {
    name: "command",
    method: Method::Post,
    path: "/api/v1/systems/{system}/commands",
    summary: "asks for something: what `tidegate` asks for on the command line",
    needs: Needs::Command,
    headers: &[KEY, IF_MATCH],
    body: Some(of::<Command>),
    answer: Answer::Json(of::<Done>),
    problems: &[409, 412, 413, 415, 422],
    handler: commands::command,
    ..BASE
};
/// Nudges.
pub static NUDGES: Route = Route {
    name: "nudge",
    method: Method::Post,
    path: "/api/v1/systems/{system}/nudges",
    summary: "has something looked at now, rather than when its turn comes",
    needs: Needs::Command,
    body: Some(of::<NudgeAsked>),
    answer: Answer::Json(of::<Nudged>),
    problems: &[409, 413, 415, 422],
    handler: commands::nudge,
    ..BASE
};
/// Predictions.
pub static PREDICTIONS: Route = Route {
    name: "predict",
    method: Method::Post,
    path: "/api/v1/systems/{system}/predictions",
    summary: "says what would happen, as `tidegate simulate -o json` prints it; nothing is touched",
    body: Some(of::<PredictionAsked>),
    answer: Answer::Json(of::<Prediction>),
    problems: &[409, 413, 415, 422],
    handler: predictions::predict,
    ..BASE
};
/// Changes, as they come.
pub static CHANGES: Route = Route {
    name: "changes",
    path: "/api/v1/events",
    summary: "the events of all systems as they come, each once",
    needs: Needs::SignedIn,
    query: &[
        text("system", "only this system"),
        text("after", "after these places: `webshop:12,billing:3`; of systems that it does not name, from now on"),
    ],
    headers: &[text("Last-Event-ID", "the `id` of the last event that came: none is lost, and none comes again")],
    answer: Answer::Events(of::<EventTold>),
    problems: &[],
    handler: changes::changes,
    ..BASE
};
